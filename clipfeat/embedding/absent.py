"""Rows of a feature file whose images are no longer in the source."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipfeat.images.record import record_path
from clipfeat.images.source import ImageSource
from clipfeat.store import open_stored
from clipfeat.store.format import text_column
from clipfeat.store.repeated_paths import CHUNK_ROWS, is_in, path_hashes


def count_absent(target: Path, images: ImageSource, folders: Sequence[str]) -> int:
    """Count the rows whose image is in one of the source's folders, but not in the source.

    Paths are compared by 64-bit hashes, because the count is only displayed. Among a billion
    images, the probability that a given row is missed is 5e-11.

    Parameters
    ----------
    target : Path
        The feature file.
    images : ImageSource
        The source.
    folders : sequence of str
        Prefixes of the paths that the source covers. See `clipfeat.embedding.roots.SharedRoot`.
    """
    listed = _path_hashes(images)
    n_absent = 0
    with open_stored(target) as stored:
        for file, mask in zip(stored.files, stored.kept, strict=True):
            others = np.flatnonzero(mask & ~is_in(file.path_hashes("paths"), listed))
            paths = file.strings("paths", others).tolist()
            without = [record_path(path) for path in paths if path.startswith(tuple(folders))]
            n_absent += int((~is_in(path_hashes(text_column(without)), listed)).sum())
    return n_absent


def _path_hashes(images: ImageSource) -> NDArray[np.uint64]:
    """Return the hashes of the paths of all images in ascending order."""
    hashes = np.empty(len(images), dtype=np.uint64)
    records = iter(images)
    for start in range(0, len(images), CHUNK_ROWS):
        paths = [record.path for record in islice(records, CHUNK_ROWS)]
        hashes[start : start + len(paths)] = path_hashes(text_column(paths))
    hashes.sort()
    return hashes
