"""Files that are whole or absent: written to the side, flushed, renamed, and only then reported."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipfeat.errors import StorageError

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
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
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
