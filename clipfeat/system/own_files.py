"""Feature files that this user has written on this computer.

A feature file names the folder of its images. If the file comes from another user or computer, this
may be any folder of this computer, and a page with thumbnails would show its images to everybody
who gets the page. The folder is therefore used only if this user has embedded images of the folder
into this file. A list in the user's cache holds a hash for each such file and folder.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from clipfeat.errors import RefusedFileError
from clipfeat.system.files import read_regular
from clipfeat.system.locations import is_remote
from clipfeat.system.user_cache import user_cache

MAX_BYTES = 2**20
"""Maximum size of the list in bytes. A larger list is cut to the newest half of this size."""
MAX_READ = 2 * MAX_BYTES
"""Maximum size of a list that is read. A larger file is not from this module."""
_LINE = 33


def note_own(file: str | Path, root: str) -> None:
    """Record that this user has embedded images of a folder into a feature file.

    The record is a line of a list in the user's cache. If the line cannot be written, `is_own`
    returns False for the file.
    """
    if is_own(file, root):
        return
    noted = _list_file()
    with suppress(OSError, RefusedFileError):
        noted.parent.mkdir(parents=True, exist_ok=True)
        if noted.is_symlink():  # the file that it leads to would be changed
            return
        if noted.is_file() and noted.stat().st_size > MAX_BYTES:
            kept = read_regular(noted, MAX_READ)[-(MAX_BYTES // 2 // _LINE) * _LINE :]
            noted.write_bytes(kept)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(noted, flags, 0o600)
        try:
            os.write(descriptor, _entry(file, root) + b"\n")
        finally:
            os.close(descriptor)


def is_own(file: str | Path, root: str) -> bool:
    """Return whether this user has embedded images of a folder into a feature file."""
    with suppress(OSError, RefusedFileError):
        return _entry(file, root) in read_regular(_list_file(), MAX_READ).split(b"\n")
    return False


def _entry(file: str | Path, root: str) -> bytes:
    place = str(file) if is_remote(file) else os.path.realpath(file)
    text = f"{place}\0{root}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=(_LINE - 1) // 2).hexdigest().encode()


def _list_file() -> Path:
    return user_cache() / "own_files"
