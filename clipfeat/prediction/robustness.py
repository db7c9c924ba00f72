"""How a model stands up to what happens to images on their way: robustness.

Each image is decoded once, degraded in every way of `DEGRADATIONS` at every strength, and encoded
again each time; the model's metrics are then a function of the strength. What is asked of a
detector of generated images (Wang et al. 2020, arXiv 1912.11035; Corvi et al. 2023, arXiv
2211.00680): compression, blur, resizing, cropping, noise, and several of them together.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.run import Progress
from clipfeat.errors import LabelError, UsageError, unknown_name
from clipfeat.images import open_source
from clipfeat.images.manifest import TableColumns
from clipfeat.images.record import record_path
from clipfeat.images.video.frames import FrameSampling, with_frames
from clipfeat.model import Model, load_model
from clipfeat.prediction.predicting import assembled, encoded, parts_of, probabilities

if TYPE_CHECKING:
    import pandas as pd

    from clipfeat.embedding.views import View

Step = tuple[str, Mapping[str, Any]]
ORIGINAL = "original"


@dataclass(frozen=True)
class Degradation:
    """A way in which images suffer, from the least strength to the greatest.

    Parameters
    ----------
    name : str
        As in tables: ``"jpeg"``.
    title : str
        As a heading, with what the strength is.
    strengths : mapping of float to sequence of steps
        What makes each; see `clipfeat.embedding.views.read_views` for steps.
    """

    name: str
    title: str
    strengths: Mapping[float, Sequence[Step]]


_ROWS = (
    Degradation("jpeg", "JPEG quality",
                {q: [("JPEG", {"quality": q})] for q in (100, 90, 70, 50, 30)}),
    Degradation("webp", "WebP quality",
                {q: [("WEBP", {"quality": q})] for q in (100, 90, 70, 50, 30)}),
    Degradation("blur", "Gaussian blur, σ in pixels",
                {s: [("Blur", {"sigma": s})] for s in (0.5, 1, 2, 3, 4)}),
    Degradation("shrink", "made smaller, each side by",
                {f: [("Scale", {"factor": f})] for f in (0.75, 0.5, 0.25)}),
    Degradation("enlarge", "made larger, each side by",
                {f: [("Scale", {"factor": f})] for f in (1.25, 1.5, 2)}),
    Degradation("crop", "cropped to a share of each side",
                {s: [("CropShare", {"share": [s, s]})] for s in (0.9, 0.8, 0.7, 0.6, 0.5)}),
    Degradation("noise", "Gaussian noise, σ of full scale",
                {s: [("GaussianNoise", {"sigma": s})] for s in (0.01, 0.02, 0.05, 0.1)}),
    Degradation("combined", "several at once, 1 to 3", {
        1: [("Scale", {"factor": 0.75}), ("JPEG", {"quality": 90})],
        2: [("Scale", {"factor": 0.5}), ("Blur", {"sigma": 1}), ("JPEG", {"quality": 70})],
        3: [("CropShare", {"share": [0.8, 0.8]}), ("Scale", {"factor": 0.5}),
            ("Blur", {"sigma": 1}), ("GaussianNoise", {"sigma": 0.02}), ("JPEG", {"quality": 50})],
    }),
)  # fmt: skip
DEGRADATIONS = {row.name: row for row in _ROWS}


@dataclass(frozen=True)
class Score:
    """One metric of the images in one state; `strength` is NaN for the images as they are."""

    degradation: str
    strength: float
    metric: str
    value: float
    n: int


@dataclass(frozen=True, eq=False, repr=False)
class Robustness:
    """A model's metrics on degraded images.

    Parameters
    ----------
    rows : sequence of Score
        Those of the images as they are (``"original"``) first.
    errors : mapping of str to str
        By path, why an image is in none of them: all are of the same images.
    """

    rows: Sequence[Score]
    errors: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        names = dict.fromkeys(row.degradation for row in self.rows)
        return f"Robustness({', '.join(names)}; {len(self.rows)} rows)"

    def to_pandas(self) -> "pd.DataFrame":
        """One row a state and metric: degradation, strength, metric, value, n."""
        import pandas as pd

        return pd.DataFrame([vars(row) for row in self.rows])


def robustness(
    model: Model | str | Path,
    source: str | Path | Sequence[str | Path],
    *,
    degradations: Sequence[str] = tuple(DEGRADATIONS),
    weights: str | Path | Sequence[str | Path] = (),
    face_weights: str | Path | None = None,
    labels: str | Path | None = None,
    columns: TableColumns = TableColumns(),
    frames: FrameSampling = FrameSampling(),
    average: str = "mean",
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str = "auto",
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Robustness:
    """Score a model on a source's images, as they are and degraded.

    Parameters
    ----------
    model : Model or path
        Fitted, or a model file.
    source : path, or sequence of paths
        Labelled images, which the model was not fitted on.
    degradations : sequence of str
        Names of `DEGRADATIONS`.
    weights, face_weights, labels, columns, frames, average, batch_size, num_workers, device
        As for `clipfeat.predict`. Where the model is of faces, they are found in the image as it
        is, and degraded then.
    progress : callable
        Told how many degraded images are encoded.

    Returns
    -------
    Robustness
        Every metric at every strength, of the same images.

    Raises
    ------
    UnknownNameError
        If there is no such degradation.
    LabelError
        If no image could be read whose label the model knows.
    """
    from clipfeat.embedding.views import View

    for name in degradations:
        if name not in DEGRADATIONS:
            raise unknown_name("degradation", name, DEGRADATIONS)
    fitted = model if isinstance(model, Model) else load_model(model)
    if not fitted.specs:
        raise UsageError("the model was fitted on arrays, not on images: it sees no degraded ones")
    images = with_frames(open_source(source, labels=labels, columns=columns), frames)
    if not {record.label for record in images} & set(fitted.classes):
        raise LabelError(
            f"no image of {images.name} has a label that the model knows "
            f"({', '.join(fitted.classes)}): robustness is scored against true labels"
        )
    states = {(ORIGINAL, float("nan")): View(ORIGINAL, "[]")} | {
        (name, float(strength)): View(f"{name}-{strength:g}", json.dumps(steps, sort_keys=True))
        for name in degradations
        for strength, steps in DEGRADATIONS[name].strengths.items()
    }
    rows, errors = encoded(
        fitted,
        images,
        {view.name: view for view in states.values()},
        every_view=True,
        weights=weights,
        face_weights=face_weights,
        batch_size=batch_size,
        num_workers=num_workers,
        device=device,
        progress=progress,
    )
    by_view = _by_view(rows, states.values())
    in_all = [p for p in by_view[ORIGINAL] if all(p in of_view for of_view in by_view.values())]
    scored = []
    for (name, strength), view in states.items():
        of_view = by_view[view.name]
        p = probabilities(fitted, {path: of_view[path] for path in in_all})
        found = assembled(fitted, parts_of(images), p, errors, average)
        n = found.n_scored
        scored += [Score(name, strength, metric, v, n) for metric, v in found.scores().items()]
    if not scored:
        why = next(iter(errors.values()), "")
        raise LabelError(f"none of the labelled images of {images.name} could be read: {why}")
    return Robustness(scored, errors)


def _by_view(
    rows: Mapping[str, NDArray[np.float32]], views: Iterable["View"]
) -> dict[str, dict[str, NDArray[np.float32]]]:
    """The rows of each view, by the path that the unchanged image, or face of it, has."""
    found: dict[str, dict[str, NDArray[np.float32]]] = {view.name: {} for view in views}
    for path, row in rows.items():
        of_record = record_path(path)
        before, _, name = of_record.rpartition("#")
        if name not in found:
            before, name = of_record, ORIGINAL
        found[name][before + path[len(of_record) :]] = row
    return found
