"""Find the images of a feature file that are nearest to an image or a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.features import FeatureSet
from clipfeat.searching.nearest import neighbours
from clipfeat.searching.query import encode_image, encode_text, is_text
from clipfeat.store import load
from clipfeat.system.progress import Phase, Report, reporting

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class SearchResults:
    """The nearest images of a search, nearest first.

    Parameters
    ----------
    query : str
        The text, or the path of the image. Empty for an image in memory.
    rows : ndarray of shape (n,), int64
        Rows of the feature set.
    paths : ndarray of shape (n,), str
        Paths of the images.
    labels : ndarray of shape (n,), str
        Classes of the images. Empty if unknown.
    similarities : ndarray of shape (n,), float64
        Cosine similarities to the query, averaged over the encoders.
    """

    query: str
    rows: NDArray[np.int64]
    paths: NDArray[np.str_]
    labels: NDArray[np.str_]
    similarities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.paths)

    def to_pandas(self) -> "pd.DataFrame":
        """Make a table with the columns ``rank``, ``similarity``, ``label`` and ``path``."""
        import pandas as pd

        return pd.DataFrame(
            {
                "rank": np.arange(1, len(self) + 1),
                "similarity": self.similarities,
                "label": self.labels,
                "path": self.paths,
            }
        )


def search(
    features: FeatureSet | str | Path,
    query: Any,
    k: int = 20,
    *,
    text: bool | None = None,
    weights: str | Path | Sequence[str | Path] = (),
    face_weights: str | Path | None = None,
    device: str = "auto",
    progress: bool | Report = True,
) -> SearchResults:
    """Find the images of a feature file that are nearest to an image or a text.

    The query is encoded with the encoders and the options of the features. Images are compared
    by cosine similarity. Texts need features of an open_clip encoder and its layer ``projection``.

    Parameters
    ----------
    features : FeatureSet or path
        The features to search, or a feature file.
    query : str, path, PIL image or ndarray
        An image, or a text. A string is an image if it is a URL or the name of an existing file.
    k : int
        Maximum number of images to return.
    text : bool, optional
        Whether the query is a text. By default, this is decided as described for `query`.
    weights : path, or sequence of path
        Local weight files, as in `clipfeat.predict`. A text needs the file of the whole model.
    face_weights : path, optional
        Weight file of the face detector YuNet, if faces were encoded with it.
    device : str
        As in `EncoderOptions`.
    progress : bool or callable
        As in `clipfeat.predict`.

    Returns
    -------
    SearchResults
        The nearest images. A file with several rows (views, faces or frames) occurs once.

    Raises
    ------
    FingerprintError
        If the encoder on this computer differs from the encoder of the features.
    UsageError
        If the query has the form of a path, but no such file exists. If the features have no
        encoder for the query.
    DataError
        If the image of the query cannot be encoded.

    Examples
    --------
    >>> import clipfeat
    >>> clipfeat.search("out.h5", "images/1.jpg", k=3).to_pandas()  # doctest: +SKIP
    """
    with reporting(progress) as report:
        report(Phase("loading"))
        data = features if isinstance(features, FeatureSet) else load(features, progress=report)
        if is_text(query) if text is None else text:
            report(Phase("encoding", detail="the text"))
            file = weights if isinstance(weights, str | Path) else next(iter(weights), None)
            data, vector = encode_text(data, str(query), file)
        else:
            vector = encode_image(
                data, query, weights=weights, face_weights=face_weights, device=device,
                report=report,
            )  # fmt: skip
        report(Phase("searching"))
        rows, similarities = neighbours(data, vector, k)
    return SearchResults(
        str(query) if isinstance(query, str | Path) else "",
        rows,
        data.paths[rows],
        data.labels[rows],
        similarities,
    )
