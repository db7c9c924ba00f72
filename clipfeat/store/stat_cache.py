"""Cache of the content hashes of image files, so that a run need not read unchanged files.

As in the index of git, a file is unchanged if its path and its status have not changed since the
last run. See `clipfeat.system.file_stats`. A file that changed less than two seconds before the
cache was written is read again. With a coarse clock, such a file may have changed once more without
a change of its times. If the cache is missing or damaged, all files are read.
"""

import time
import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import RefusedFileError
from clipfeat.store.fetching import fetch
from clipfeat.store.format import KEY_BYTES, Column, text_column
from clipfeat.store.repeated_paths import CHUNK_ROWS, path_hashes
from clipfeat.system.file_stats import Stat
from clipfeat.system.files import read_arrays, replacing
from clipfeat.system.locations import is_remote

SUFFIX = ".stat"
TRUSTED_AFTER_NS = 2_000_000_000
MOST_BYTES = 2**40
"""Largest size of a cache in bytes. An image takes about 80 bytes."""

NO_STAT: Stat = (-1, -1, -1, -1)
"""Status of a file whose status is not known."""

Entry = tuple[str, Stat, bytes]
"""Path, status and key of an image."""


@dataclass(frozen=True, eq=False)
class StatCache:
    """Status and key (content hash) of every image at the end of an earlier run.

    Parameters
    ----------
    paths : ndarray of shape (n_images,), S
        The path of each image as UTF-8.
    stats : ndarray of shape (n_images, 4), int64
        The status of each image.
    keys : ndarray of shape (n_images, 16), uint8
        The key of each image.
    written_ns : int
        Time at which the cache was written, in nanoseconds.
    """

    paths: Column
    stats: NDArray[np.int64]
    keys: NDArray[np.uint8]
    written_ns: int

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def _by_hash(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Ascending hashes of the paths, and the position of each hash in `paths`."""
        hashes = path_hashes(self.paths)
        order = np.argsort(hashes)
        return hashes[order], order

    def keys_of(self, paths: Sequence[str], stats: Sequence[Stat | None]) -> list[bytes | None]:
        """Return the key of each file, or None if the file is unknown or may have changed."""
        if not len(self):
            return [None] * len(paths)
        hashes, order = self._by_hash
        wanted = text_column(paths)
        at = order[np.minimum(np.searchsorted(hashes, path_hashes(wanted)), len(order) - 1)]
        now = np.array([_int64s(stat) for stat in stats], dtype=np.int64).reshape(-1, 4)
        same = (self.paths[at] == wanted) & (self.stats[at] == now).all(axis=1)
        trusted = now[:, (1, 3)].max(axis=1, initial=0) + TRUSTED_AFTER_NS < self.written_ns
        known = same & trusted & (now[:, 0] >= 0)
        return [
            key.tobytes() if is_known else None
            for key, is_known in zip(self.keys[at], known.tolist(), strict=True)
        ]


def _int64s(stat: Stat | None) -> Stat:
    """Return a status, or `NO_STAT` if an inode is too large for a 64-bit integer."""
    return stat if stat is not None and max(stat) < 2**63 else NO_STAT


class StatRuns:
    """Statuses of the images of a source, in order. Runs of equal statuses are stored once."""

    def __init__(self) -> None:
        self._ends = array("q")
        self._values = array("q")

    def append(self, stat: Stat | None) -> None:
        """Add the status of the next image."""
        values = _int64s(stat)
        n = self._ends[-1] if self._ends else 0
        if not self._ends or tuple(self._values[-4:]) != values:
            self._ends.append(n)
            self._values.extend(values)
        self._ends[-1] = n + 1

    def __iter__(self) -> Iterator[Stat | None]:
        start = 0
        for place, end in enumerate(self._ends):
            size, modified, inode, changed = self._values[4 * place : 4 * place + 4]
            stat = None if size < 0 else (size, modified, inode, changed)
            for _ in range(start, end):
                yield stat
            start = end


def make_stats(entries: Sequence[Entry], written_ns: int) -> StatCache:
    """Make a cache from the entries of images."""
    return StatCache(
        text_column([path for path, _, _ in entries]),
        np.array([stat for _, stat, _ in entries], dtype=np.int64).reshape(-1, 4),
        np.frombuffer(b"".join(k for _, _, k in entries), np.uint8).reshape(-1, KEY_BYTES),
        written_ns,
    )


NO_STATS = make_stats([], 0)


def cache_path(feature_file: Path) -> Path:
    """Return the path of a feature file's cache."""
    return feature_file.with_name(f".{feature_file.name}{SUFFIX}")


def load_stats(feature_file: Path) -> StatCache:
    """Read the cache of a feature file. If it is missing or damaged, return an empty cache."""
    path = cache_path(feature_file)
    with suppress(RefusedFileError, OSError, ValueError, KeyError, TypeError, AttributeError):
        path = fetch(path) if is_remote(path) else path
        saved = read_arrays(path, MOST_BYTES)
        # A cache is not compressed, so arrays that are larger than the file are not a valid cache.
        # They are refused first, because sorting would take even more memory.
        if sum(values.nbytes for values in saved.values()) > path.stat().st_size:
            return NO_STATS
        paths, stats, keys = saved["paths"], saved["stats"], saved["keys"]
        if paths.dtype.kind == "S" and paths.ndim == 1 and stats.dtype == np.int64:
            n = len(paths)
            keys = keys.reshape(n, KEY_BYTES).astype(np.uint8, casting="equiv", copy=False)
            return StatCache(paths, stats.reshape(n, 4), keys, int(saved["written_ns"]))
    return NO_STATS


def save_stats(feature_file: Path, entries: Callable[[], Iterable[Entry]]) -> None:
    """Write the cache of a feature file atomically.

    Parameters
    ----------
    feature_file : Path
        The feature file.
    entries : callable
        Returns the path, the status and the key of each image. It is called several times, so that
        only some of the images are in memory at a time.

    Raises
    ------
    StorageError
        If the disk failed.
    """
    n, width = 0, 1
    for chunk in _chunks(entries()):
        n += len(chunk)
        width = max(width, text_column([path for path, _, _ in chunk]).dtype.itemsize)
    path = cache_path(feature_file)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "x") as archive:
        arrays: dict[str, tuple[tuple[int, ...], str, Callable[[list[Entry]], Column]]] = {
            "paths": ((n,), f"S{width}", lambda chunk: text_column([path for path, _, _ in chunk])),
            "stats": ((n, 4), "<i8", lambda chunk: np.array([stat for _, stat, _ in chunk])),
            "keys": (
                (n * KEY_BYTES,), "|u1",
                lambda chunk: np.frombuffer(b"".join(key for _, _, key in chunk), np.uint8),
            ),
            "written_ns": ((), "<i8", lambda chunk: np.array(time.time_ns())),
        }  # fmt: skip
        for name, (shape, dtype, values) in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_header(member, shape, dtype)
                for chunk in _chunks(entries()) if shape else [[]]:
                    member.write(values(chunk).astype(dtype).tobytes())


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    remaining = iter(entries)
    while chunk := list(islice(remaining, CHUNK_ROWS)):
        yield chunk


def _write_header(member: Any, shape: tuple[int, ...], dtype: str) -> None:
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, header)
