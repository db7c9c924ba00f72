"""Occlusion maps: the regions of an image on which a verdict depends.

Each cell of a grid over the image is covered in turn (Zeiler and Fergus 2014, arXiv 1311.2901). For
each cell, the map holds the decrease of the probability of the predicted class. A map describes the
model. It does not show which parts of an image are generated.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.views import View
from clipfeat.errors import UsageError
from clipfeat.features import FeatureSet
from clipfeat.model import Model
from clipfeat.serving.verdict import not_encoded, verdict_on

CELLS = 48
"""Approximate number of cells."""
MOST_CELLS = 12
"""Maximum number of cells in a row or column."""
LONGEST_SIDE = 1024
"""Larger images are reduced to this number of pixels before cells are covered."""
WHOLE = "whole"
"""Name of the view without a covered cell."""


@dataclass(frozen=True, eq=False)
class OcclusionMap:
    """The influence of each region of an image on its verdict.

    Parameters
    ----------
    predicted : str
        Name of the class that is predicted for the whole image.
    drops : ndarray of shape (n_rows, n_columns)
        Decrease of the probability of `predicted` when only this cell is covered.
    """

    predicted: str
    drops: NDArray[np.float64]

    @property
    def largest(self) -> float:
        """Largest change of the probability, upwards or downwards."""
        return float(np.abs(self.drops).max())

    @property
    def strongest_place(self) -> str:
        """Position of the cell with the largest drop, such as ``"top left"``."""
        row, column = np.unravel_index(int(self.drops.argmax()), self.drops.shape)
        n_rows, n_columns = self.drops.shape
        places = (
            ("top left", "top", "top right"),
            ("left", "centre", "right"),
            ("bottom left", "bottom", "bottom right"),
        )
        return places[_third(int(row), n_rows)][_third(int(column), n_columns)]


def occlusion_views(width: int, height: int) -> Mapping[str, View]:
    """Return the views to encode for an occlusion map: the whole image, and one view for each cell.

    Parameters
    ----------
    width, height : int
        Size of the image in pixels.

    Examples
    --------
    >>> list(occlusion_views(400, 300))[:3], len(occlusion_views(400, 300))
    (['whole', 'cell-0-0', 'cell-0-1'], 49)
    """
    n_columns, n_rows = grid(width, height)
    reduction = LONGEST_SIDE / max(width, height)
    first = [("Scale", {"factor": reduction})] if reduction < 1 else []
    steps = {WHOLE: first} | {
        f"cell-{row}-{column}": [
            *first,
            ("Cover", {"box": [column / n_columns, row / n_rows,
                               (column + 1) / n_columns, (row + 1) / n_rows]}),
        ]
        for row in range(n_rows)
        for column in range(n_columns)
    }  # fmt: skip
    return {name: View(name, json.dumps(own, sort_keys=True)) for name, own in steps.items()}


def grid(width: int, height: int) -> tuple[int, int]:
    """Return the numbers of columns and rows of a grid whose cells are nearly square.

    Examples
    --------
    >>> grid(400, 300), grid(10, 5000)
    ((8, 6), (1, 12))
    """
    n_columns = round((CELLS * width / height) ** 0.5)
    n_rows = round((CELLS * height / width) ** 0.5)
    return max(1, min(n_columns, MOST_CELLS)), max(1, min(n_rows, MOST_CELLS))


def occlusion_map(model: Model, features: FeatureSet, width: int, height: int) -> OcclusionMap:
    """Compute an occlusion map.

    Parameters
    ----------
    model : Model
        The fitted model.
    features : FeatureSet
        Features of one image in the views of `occlusion_views`.
    width, height : int
        Size of the image in pixels.

    Raises
    ------
    DecodeError
        If one of the views has no features. The message gives the reason.
    UsageError
        If the model encodes faces, because each view would then show a face.
    """
    check_whole_images(model)
    rows = {path.rpartition("#")[2]: i for i, path in enumerate(features.paths.tolist())}
    names = list(occlusion_views(width, height))
    if any(name not in rows for name in names):
        raise not_encoded(features)
    whole = verdict_on(model, features.take(np.array([rows[WHOLE]])))
    of_class = model.predict_proba(features)[:, model.classes.index(whole.predicted)]
    n_columns, n_rows = grid(width, height)
    covered = of_class[[rows[name] for name in names[1:]]]
    return OcclusionMap(whole.predicted, (whole.probability - covered).reshape(n_rows, n_columns))


def check_whole_images(model: Model) -> None:
    """Check that a model encodes whole images.

    Raises
    ------
    UsageError
        If the model encodes faces.
    """
    if any(spec.faces for spec in model.specs):
        raise UsageError(
            "an occlusion map needs a model of whole images, but this is a model of faces. Use a "
            "model that was fitted without --faces"
        )


def _third(index: int, n: int) -> int:
    """Return which third of an axis (0, 1 or 2) contains the middle of a cell."""
    return int(3 * (index + 0.5) / n)
