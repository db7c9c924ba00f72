"""File status, which shows whether a file has changed.

The status is the size, the modification time, the inode, and the time of the last change of the
status. Programs may set the modification time back, but they cannot set the time of the last change
of the status. For an object (a file on an object store), the inode is replaced by a digest of the
object's ETag.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from clipfeat.errors import UsageError
from clipfeat.system.locations import WEB, is_remote, location

Stat = tuple[int, int, int, int]
"""Size in bytes, modification time in nanoseconds, inode, and time of the last change of the status
in nanoseconds. For an object, the last two are a digest of its ETag and 0."""


def file_stat(file: str) -> Stat | None:
    """Return the status of a local file, or None if the file system does not give it."""
    try:
        status = os.stat(file)  # noqa: PTH116 -- creating 100,000 Paths takes a second
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


def object_stats(urls: Iterable[str]) -> dict[str, Stat]:
    """Return the status of each object by its URL, with one request per folder.

    Objects in folders that cannot be listed, and files of web servers, are left out.
    """
    stats: dict[str, Stat] = {}
    wanted = {url for url in urls if url.partition("://")[0] not in WEB}
    folders = {url.rpartition("/")[0] for url in wanted}
    for folder in folders:
        # The status is needed only to skip unchanged objects. Objects without a status are read.
        with suppress(OSError, NotImplementedError, UsageError):
            remote: Any = location(folder) if is_remote(folder) else location(f"{folder}/")
            for entry in remote.fs.ls(remote.path, detail=True):
                url = f"{folder}/{entry['name'].rpartition('/')[2]}"
                if url not in wanted:
                    continue
                modified = entry.get("LastModified") or entry.get("mtime") or entry.get("created")
                tag = entry.get("ETag") or entry.get("etag") or ""
                seconds = modified.timestamp() if isinstance(modified, datetime) else modified
                if entry["type"] == "file" and seconds is not None:
                    digest = hashlib.blake2b(str(tag).encode(), digest_size=7).digest()
                    modified_ns = int(float(seconds) * 1e6) * 1000
                    stat = (int(entry["size"]), modified_ns, int.from_bytes(digest), 0)
                    stats[url] = stat
    return stats
