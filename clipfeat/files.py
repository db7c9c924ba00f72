"""Files that are whole or absent: written to the side, flushed, renamed, and only then reported."""

import io
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import RefusedFileError, StorageError

TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn what the disk raises into one error; HDF5 raises OSError *or* RuntimeError for it.

    Raises
    ------
    StorageError
        Saying what was being done.
    """
    try:
        yield
    except StorageError:
        raise
    except (OSError, RuntimeError) as error:
        raise StorageError(f"{doing} failed: {error}") from error


def publish(data: bytes | memoryview, path: Path) -> None:
    """Write a whole file, or none.

    Parameters
    ----------
    data : bytes
        All of it.
    path : Path
        Its final name; whatever stood there is replaced.

    Raises
    ------
    StorageError
        If any step failed. The final name is then as it was, and nothing temporary is left.
    """
    with replacing(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]  # a write may be short
        finally:
            os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success flush it and rename it to `path`.

    Raises
    ------
    StorageError
        If writing, flushing or renaming failed; the temporary file is removed.
    """
    temporary = temporary_name(path)
    with storage_errors(f"writing {path}"):
        try:
            yield temporary
            flush(temporary)
            temporary.replace(path)
            flush(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of an ``.npz``.

    Raises
    ------
    FileNotFoundError
        If there is none.
    RefusedFileError
        If it is damaged, or would have to be unpickled.
    """
    content = path.read_bytes()  # numpy leaves a file open that is none of its own
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise RefusedFileError(f"{path} holds no arrays that can be read: {error!r}") from error


def temporary_name(path: Path) -> Path:
    """A new hidden name beside `path`, for what is not yet, or no longer, there."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk.

    A failed fsync is never tried again: the kernel may have dropped the pages and would report
    success.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class CarefulFile(io.FileIO):
    """A new file to be written through a library that does not survive a failing disk.

    HDF5 loses some errors of the disk, and was measured to crash on others. It is handed this
    file instead of a name: a write that fails is remembered, and success pretended; `close` then
    raises what was remembered.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+")
        self._failed: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, or remember why not."""
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while view and self._failed is None:
                view = view[super().write(view) or 0 :]
        except OSError as error:
            self._failed = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the file's size, or remember why it could not be."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._failed = self._failed or error
            return size or 0

    def close(self) -> None:
        """Close it.

        Raises
        ------
        OSError
            If any write had failed.
        """
        super().close()
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
