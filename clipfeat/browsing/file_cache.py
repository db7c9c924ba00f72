"""Thumbnails and maps on disk, in the user's cache, with a size limit."""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from clipfeat.errors import RefusedFileError
from clipfeat.system.files import read_regular

TRIM_AFTER = 500
"""Number of new files after which the size of a cache is checked again."""
KEPT = 0.8
"""Share of the maximum size that is kept when files are deleted."""
TEMPORARY = ".tmp"
MAX_FILE = 2**26
"""Maximum size of a file that is read. A map of a million images has 8 MB."""


class FileCache:
    """Cache of files on disk. Above `max_bytes`, the least recently used files are deleted.

    Several processes may use one folder. A full or read-only disk is not an error: the files are
    then made again when they are needed.

    Parameters
    ----------
    folder : Path
        The folder. It is created with the first file, and only its owner can read it.
    max_bytes : int
        Maximum size.
    trim_after : int
        Number of new files after which the size is checked again.
    """

    def __init__(self, folder: Path, max_bytes: int = 2**30, trim_after: int = TRIM_AFTER) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._trim_after = trim_after
        self._n_new = 0

    def get(self, key: str) -> bytes | None:
        """Return the content of a key's file, or None if it is not in the cache.

        A link, a pipe and a file above `MAX_FILE` are not from this class, and are not read.
        """
        file = self._file(key)
        with suppress(OSError, RefusedFileError):
            if self._is_link(file):
                return None
            data = read_regular(file, MAX_FILE)
            with suppress(OSError):
                os.utime(file)
            return data
        return None

    def put(self, key: str, data: bytes) -> None:
        """Store the content of a key's file."""
        file = self._file(key)
        temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}{TEMPORARY}")
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.parent.mkdir(exist_ok=True, mode=0o700)
            if file.parent.is_symlink():
                return
            try:
                temporary.write_bytes(data)
                temporary.replace(file)
            finally:
                temporary.unlink(missing_ok=True)
        if self._n_new % self._trim_after == 0:  # also after the first file of a process
            self.trim()
        self._n_new += 1

    def trim(self) -> None:
        """Delete the least recently used files if the cache is too large."""
        files = sorted(self._stats())
        total = sum(size for _, size, _ in files)
        if total <= self.max_bytes:
            return
        for _, size, file in files:
            if total <= KEPT * self.max_bytes:
                break
            with suppress(OSError):
                Path(file).unlink()
                total -= size

    def _stats(self) -> Iterator[tuple[float, int, str]]:
        """Yield the time of the last use, the size and the path of each file."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118 -- 100,000 Path objects are slow
                with suppress(OSError):
                    of = os.lstat(path)
                    yield of.st_mtime, of.st_size, path

    @staticmethod
    def _is_link(file: Path) -> bool:
        return file.is_symlink() or file.parent.is_symlink()

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]
