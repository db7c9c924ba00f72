"""Finding the paths that occur more than once in the files of a feature file.

The paths of a large feature file take several times the memory of their 64-bit hashes. This module
therefore compares hashes first, and compares paths as text only if their hashes are equal. A
collision of hashes costs time, but does not change the result.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from clipfeat.store.format import Column

CHUNK_ROWS = 65_536
_WORD = 8


def path_hashes(paths: Column) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each path. The fixed length of the texts does not change the hash.

    Parameters
    ----------
    paths : ndarray of shape (n_paths,), S
        Paths as UTF-8 of a fixed length.

    Examples
    --------
    >>> one, other = np.array([b"a.png", b"b.png"]), np.array([b"folder/c.png", b"b.png"])
    >>> path_hashes(one)[1] == path_hashes(other)[1]
    np.True_
    """
    width = -(-paths.dtype.itemsize // _WORD) * _WORD
    hashes = np.zeros(len(paths), dtype=np.uint64)
    for start in range(0, len(paths), CHUNK_ROWS):
        chunk = slice(start, start + CHUNK_ROWS)
        words = paths[chunk].astype(f"S{width}").view("<u8").reshape(-1, width // _WORD)
        for word in words.T:
            hashes[chunk] = np.where(word, _mixed(hashes[chunk] ^ word), hashes[chunk])
    return hashes


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the finaliser of SplitMix64."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def repeated_hashes(hashes: Iterable[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Return the hashes that occur more than once, in ascending order."""
    together = np.concatenate([np.empty(0, dtype=np.uint64), *hashes])
    together.sort()
    return np.unique(together[1:][together[1:] == together[:-1]])


def is_in(hashes: NDArray[np.uint64], ascending: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return a mask of the hashes that are in an array of ascending hashes."""
    if not len(ascending):
        return np.zeros(len(hashes), dtype=bool)
    places = np.searchsorted(ascending, hashes)
    mask: NDArray[np.bool_] = ascending[np.minimum(places, len(ascending) - 1)] == hashes
    return mask
