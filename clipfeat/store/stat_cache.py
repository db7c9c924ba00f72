"""Digests of files that have not changed since, by what the file system says of them.

As git's index does, this spares reading a file whose path, size, modification time and inode are
those of the last run. A file modified within two seconds of the cache's own writing is not
trusted: on a coarse clock it could have changed again under the same time. The cache is only ever
a shortcut: without it, or with a damaged one, files are read.
"""

import hashlib
import io
import os
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from clipfeat.errors import UsageError
from clipfeat.store.format import KEY_BYTES, text_column
from clipfeat.system.files import publish
from clipfeat.system.locations import is_remote, location

SUFFIX = ".stat"
TRUSTED_AFTER_NS = 2_000_000_000
Stat = tuple[int, int, int]


def file_stats(files: Iterable[str]) -> dict[str, Stat]:
    """Size, modification time in ns, and inode of files; of objects, a digest of their tag.

    Those that cannot be asked are left out.
    """
    found: dict[str, Stat] = {}
    remote = []
    for file in dict.fromkeys(files):
        if is_remote(file):
            remote.append(file)
        elif (stat := file_stat(file)) is not None:
            found[file] = stat
    return found | _object_stats(remote)


def _object_stats(files: Sequence[str]) -> dict[str, Stat]:
    """Ask for a folder at once, not for each of a million objects."""
    found: dict[str, Stat] = {}
    for folder in {file.rpartition("/")[0] for file in files}:
        # A shortcut: what may not be listed, or is at no folder, is read.
        with suppress(OSError, NotImplementedError, UsageError):
            of: Any = location(folder) if is_remote(folder) else location(f"{folder}/")
            for about in of.fs.ls(of.path, detail=True):
                when = about.get("LastModified") or about.get("mtime") or about.get("created")
                tag = about.get("ETag") or about.get("etag") or ""
                seconds = when.timestamp() if isinstance(when, datetime) else when
                if about["type"] == "file" and seconds is not None:
                    name = about["name"].rpartition("/")[2]
                    digest = hashlib.blake2b(str(tag).encode(), digest_size=7).digest()
                    at = int(float(seconds) * 1e6) * 1000
                    found[f"{folder}/{name}"] = (int(about["size"]), at, int.from_bytes(digest))
    return found


def file_stat(file: str) -> Stat | None:
    """Size, modification time in ns, and inode of a file; None where it cannot be asked."""
    try:
        found = os.stat(file)  # noqa: PTH116 -- a hundred thousand Paths take a second
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


@dataclass(frozen=True)
class StatCache:
    """What a former run knew.

    Parameters
    ----------
    entries : mapping of str to (Stat, bytes)
        By path, what the file system said and the digest of the image's bytes.
    written_ns : int
        When it was written.
    """

    entries: Mapping[str, tuple[Stat, bytes]]
    written_ns: int

    def key(self, path: str, stat: Stat | None) -> bytes | None:
        """The digest of an unchanged file, or None."""
        entry = self.entries.get(path)
        if stat is None or entry is None or entry[0] != stat:
            return None
        return entry[1] if stat[1] + TRUSTED_AFTER_NS < self.written_ns else None


def cache_path(feature_file: Path) -> Path:
    """Where the cache of a feature file is."""
    return feature_file.with_name(f".{feature_file.name}{SUFFIX}")


def load_stats(feature_file: Path) -> StatCache:
    """Read the cache of a feature file; empty where there is none that is whole."""
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        content = io.BytesIO(cache_path(feature_file).read_bytes())
        with np.load(content, allow_pickle=False) as saved:
            paths = [path.decode() for path in saved["paths"].tolist()]
            stats = [tuple(stat) for stat in saved["stats"].tolist()]
            raw = saved["keys"].tobytes()
            written_ns = int(saved["written_ns"])
        keys = (raw[i : i + KEY_BYTES] for i in range(0, len(raw), KEY_BYTES))
        return StatCache(dict(zip(paths, zip(stats, keys, strict=True), strict=True)), written_ns)
    return StatCache({}, 0)


def save_stats(feature_file: Path, entries: Mapping[str, tuple[Stat, bytes]]) -> None:
    """Write the cache of a feature file, whole or not at all.

    Raises
    ------
    StorageError
        If the disk failed.
    """
    image = io.BytesIO()
    np.savez(
        image,
        paths=text_column(list(entries)),
        stats=np.array([stat for stat, _ in entries.values()], dtype=np.int64).reshape(-1, 3),
        keys=np.frombuffer(b"".join(key for _, key in entries.values()), dtype=np.uint8),
        written_ns=np.int64(time.time_ns()),
    )
    publish(image.getvalue(), cache_path(feature_file))
