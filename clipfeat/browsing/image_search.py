"""Search by an image or a text among the browsed images."""

from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from clipfeat.browsing.data import BrowseData
from clipfeat.errors import UsageError
from clipfeat.images.readers import FileInMemory
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import make_source
from clipfeat.searching.nearest import neighbours
from clipfeat.searching.search import search

MAX_RESULTS = 500
_ENCODING = Lock()
"""Held while an encoder is in memory, so that several searches do not load several encoders."""


@dataclass(frozen=True, eq=False)
class BrowseMatches:
    """Images that are most similar to a query, most similar first.

    Parameters
    ----------
    rows : ndarray of shape (n,), int64
        Indices of the files.
    similarities : ndarray of shape (n,), float64
        Cosine similarities to the query.
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float64]


def has_texts(data: BrowseData) -> bool:
    """Return whether one of the encoders can encode texts. Only open_clip's encoders can."""
    of_open_clip = [spec for spec in data.features.specs if spec.name.startswith("open_clip:")]
    if not of_open_clip:
        return False  # avoids the import of torch, which takes seconds
    from clipfeat.encoders.open_clip_texts import has_text_tower

    return any(map(has_text_tower, of_open_clip))


def search_row(data: BrowseData, row: int, k: int) -> BrowseMatches:
    """Find the images whose features are nearest to those of a file."""
    rows, similarities = neighbours(data.rows, data.features.X[row], k)
    return BrowseMatches(data.file_of_row[rows], similarities)


def search_image(data: BrowseData, image: bytes, k: int) -> BrowseMatches:
    """Find the images that are nearest to an image file.

    Raises
    ------
    ClipfeatError
        If the image cannot be decoded, or the encoder cannot be loaded.
    """
    # The query is decoded like the embedded images, possibly at a reduced size.
    source = make_source("the image", "", [ImageRecord("image", FileInMemory(image))])
    with _ENCODING:
        results = search(data.rows, source, k, text=False, progress=False)
    return BrowseMatches(data.file_of_row[results.rows], results.similarities)


def search_text(data: BrowseData, text: str, k: int) -> BrowseMatches:
    """Find the images that are nearest to a text.

    Raises
    ------
    ClipfeatError
        If no encoder can encode texts, or the encoder cannot be loaded.
    """
    if not has_texts(data):
        raise UsageError(
            "texts can be compared only with features of an open_clip encoder. Search by an image, "
            "or embed the images with --encoder clip-vit-l-14"
        )
    with _ENCODING:
        results = search(data.rows, text, k, text=True, progress=False)
    return BrowseMatches(data.file_of_row[results.rows], results.similarities)
