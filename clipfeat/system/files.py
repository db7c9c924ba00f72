"""Files that are whole or absent: written to the side, flushed, renamed, and only then reported."""

import errno
import io
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import RefusedFileError, StorageError
from clipfeat.system.locations import is_remote

TEMPORARY_SUFFIX = ".tmp"
REMOTE_LIBRARIES = frozenset({"aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "httpx"})
"""What speaks to object stores, and raises errors of its own where a disk raises OSError."""


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn what the disk, or an object store, raises into one error.

    HDF5 raises OSError *or* RuntimeError for it.

    Raises
    ------
    StorageError
        Saying what was being done.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        library = type(error).__module__.partition(".")[0]
        if not isinstance(error, OSError | RuntimeError) and library not in REMOTE_LIBRARIES:
            raise
        raise StorageError(f"{doing} failed: {error or type(error).__name__}") from error


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
    if is_remote(path):
        with storage_errors(f"writing {path}"):
            of: Any = path
            of.fs.pipe_file(of.path, bytes(data))
        return
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

    The temporary file of a remote one is on this machine, and is sent.

    Raises
    ------
    StorageError
        If writing, flushing or renaming failed; the temporary file is removed.
    """
    if is_remote(path):
        with storage_errors(f"writing {path}"), TemporaryDirectory(prefix="clipfeat-") as folder:
            sent = Path(folder) / path.name
            yield sent
            of: Any = path
            of.fs.put_file(str(sent), of.path)
        return
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


def names_in(folder: Path) -> list[str]:
    """The names in a folder; none, where there is no folder.

    Not by `glob`, to which brackets in the folder's own name are a pattern on an object store.
    """
    try:
        if is_remote(folder):
            of: Any = folder
            found = of.fs.ls(of.path, detail=False)
            return sorted(name.rstrip("/").rpartition("/")[2] for name in found)
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove(path: Path) -> None:
    """Delete a file, if it is there."""
    if not is_remote(path):
        path.unlink(missing_ok=True)
        return
    of: Any = path
    with suppress(FileNotFoundError):
        of.fs.rm_file(of.path)  # not `unlink`, to which brackets are a pattern


def create(data: bytes, path: Path) -> bool:
    """Write a whole file where there is none: of several that try, one succeeds.

    Locally only for who holds a lock, since not every file system has hard links.

    Returns
    -------
    bool
        Whether it was this one; else there is a file, and it is as it was.

    Raises
    ------
    StorageError
        If the disk failed.
    """
    with storage_errors(f"writing {path}"):
        if is_remote(path):
            of: Any = path
            try:
                of.fs.pipe_file(of.path, data, mode="create")
            except Exception:
                # Some stores say it in other ways; and where an answer was lost, the request was
                # sent again, and found what it had itself created.
                if not path.exists():
                    raise
                return path.read_bytes() == data
            return True
        temporary = temporary_name(path)
        try:
            temporary.write_bytes(data)
            flush(temporary)
            _link(temporary, path)
            flush(path.parent)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
    return True


def _link(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if path.exists():
            raise FileExistsError(path) from error
        temporary.replace(path)


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
