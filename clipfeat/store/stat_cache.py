"""Cache of the content hashes of image files, so that a run need not read unchanged files.

As in the index of git, a file is unchanged if its path and its status have not changed since the
last run. See `clipfeat.system.file_stats`. A file that changed less than two seconds before the
cache was written is read again. If the clock is coarse, such a file may change once more and keep
the same times. If the cache is missing or damaged, all files are read.
"""

import io
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipfeat.errors import RefusedFileError
from clipfeat.store.format import KEY_BYTES, text_column
from clipfeat.system.file_stats import Stat
from clipfeat.system.files import publish, read_arrays

SUFFIX = ".stat"
TRUSTED_AFTER_NS = 2_000_000_000


@dataclass(frozen=True)
class StatCache:
    """Status and key (content hash) of every image at the end of an earlier run.

    Parameters
    ----------
    entries : mapping of str to (Stat, bytes)
        The status and the key of each image, by path.
    written_ns : int
        Time at which the cache was written, in nanoseconds.
    """

    entries: Mapping[str, tuple[Stat, bytes]]
    written_ns: int

    def key(self, path: str, stat: Stat | None) -> bytes | None:
        """Return the key of a file, or None if the file is unknown or may have changed."""
        entry = self.entries.get(path)
        if stat is None or entry is None or entry[0] != stat:
            return None
        return entry[1] if max(stat[1], stat[3]) + TRUSTED_AFTER_NS < self.written_ns else None


def cache_path(feature_file: Path) -> Path:
    """Return the path of a feature file's cache."""
    return feature_file.with_name(f".{feature_file.name}{SUFFIX}")


def load_stats(feature_file: Path) -> StatCache:
    """Read the cache of a feature file. If it is missing or damaged, return an empty cache."""
    path = cache_path(feature_file)
    with suppress(RefusedFileError, OSError, ValueError, KeyError, TypeError, AttributeError):
        saved = read_arrays(path)
        # The cache is not compressed. Lists take more memory than arrays, so sizes come first.
        if sum(values.nbytes for values in saved.values()) > path.stat().st_size:
            return StatCache({}, 0)
        raw = saved["keys"].reshape(len(saved["paths"]), KEY_BYTES).tobytes()
        paths = [name.decode() for name in saved["paths"].tolist()]
        stats = [tuple(stat) for stat in saved["stats"].tolist()]
        written_ns = int(saved["written_ns"])
        keys = (raw[i : i + KEY_BYTES] for i in range(0, len(raw), KEY_BYTES))
        return StatCache(dict(zip(paths, zip(stats, keys, strict=True), strict=True)), written_ns)
    return StatCache({}, 0)


def save_stats(feature_file: Path, entries: Mapping[str, tuple[Stat, bytes]]) -> None:
    """Write the cache of a feature file atomically.

    Raises
    ------
    StorageError
        If the disk failed.
    """
    image = io.BytesIO()
    np.savez(
        image,
        paths=text_column(list(entries)),
        stats=np.array([stat for stat, _ in entries.values()], dtype=np.int64).reshape(-1, 4),
        keys=np.frombuffer(b"".join(key for _, key in entries.values()), dtype=np.uint8),
        written_ns=np.int64(time.time_ns()),
    )
    publish(image.getvalue(), cache_path(feature_file))
