"""Atomic file operations, which write a temporary file, flush it and rename it."""

import errno
import io
import os
import secrets
import shutil
import stat
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import OutputExistsError, RefusedFileError, StorageError
from clipfeat.system.locations import followed, is_remote

TEMPORARY_SUFFIX = ".tmp"
NEW_CONTENTS = ".new-"
"""Start of the name of the folder in which `replacing_contents` writes."""
MAX_READ = 2**30
"""Maximum size of a file that `read_regular` reads into memory."""
MAX_UNPACKED, MAX_RATIO = 2**28, 20
"""An archive may unpack to the first number of bytes, or to its own size times the second number.

The larger of these two limits applies."""
OUTPUT_SUFFIXES = frozenset(
    {".clipfeat", ".csv", ".html", ".json", ".md", ".npz", ".parquet", ".png", ".svg", ".tex"}
)
"""Suffixes of the files in folders of outputs. No subfolder has such a name."""
REMOTE_LIBRARIES = frozenset({"aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "httpx"})
"""Client libraries of object stores. They raise their own exceptions instead of OSError."""


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Convert the errors of a disk or an object store into `StorageError`.

    HDF5 raises OSError *or* RuntimeError when a disk fails.

    Parameters
    ----------
    doing : str
        The operation, for the message: ``"reading out.h5"``.

    Raises
    ------
    StorageError
        If the block raises an error of a disk or an object store.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        library = type(error).__module__.partition(".")[0]
        if not isinstance(error, OSError | RuntimeError) and library not in REMOTE_LIBRARIES:
            raise
        # If a request takes too long, fsspec raises the error again, without the message.
        reason = str(error) or str(error.__cause__ or "") or type(error).__name__
        raise StorageError(f"{doing} failed: {reason}") from error


def publish(data: bytes | memoryview, path: Path) -> None:
    """Write a file atomically.

    Parameters
    ----------
    data : bytes
        The whole content.
    path : Path
        The final name. An existing file is replaced, and its mode is kept. A symbolic link is
        followed.

    Raises
    ------
    StorageError
        If any step failed, or if the file is read-only. An existing file is then unchanged and no
        temporary file is left.
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
                view = view[os.write(descriptor, view) :]  # one call may write only some bytes
        finally:
            os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, then flush that file and rename it to `path`.

    If `path` is a symbolic link, the file that it leads to is replaced. For a remote `path`, the
    temporary file is local and is uploaded at the end.

    Raises
    ------
    StorageError
        If the existing file is read-only. If writing, flushing or renaming failed. The temporary
        file is then removed.
    """
    if is_remote(path):
        with storage_errors(f"writing {path}"), TemporaryDirectory(prefix="clipfeat-") as folder:
            sent = Path(folder) / path.name
            yield sent
            of: Any = path
            of.fs.put_file(str(sent), of.path)
        return
    path = followed(path)
    check_writable(path)
    temporary = temporary_name(path)
    with storage_errors(f"writing {path}"):
        try:
            yield temporary
            with suppress(FileNotFoundError):
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            flush(temporary)
            temporary.replace(path)
            flush(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def check_links(folder: Path, subfolders: Collection[str] = ()) -> None:
    """Check that no file of a folder of outputs is a folder, or a link that leads outside.

    If an output has the name of a link, writing it replaces the file that the link leads to. A
    folder that comes from a stranger may have links to any file of this computer. A subfolder, or a
    link to a folder, cannot have the name of an output (see `OUTPUT_SUFFIXES`).

    Parameters
    ----------
    folder : Path
        The folder. It need not exist.
    subfolders : collection of str
        Names of its subfolders to which outputs are also written. Other subfolders are not
        searched.

    Raises
    ------
    OutputExistsError
        If a link leads outside the folder, or if a subfolder has the name of an output.
    """
    inside = Path(os.path.realpath(folder))
    for above, folders, names in os.walk(folder):
        is_top = Path(above) == folder
        for name in folders:
            if Path(name).suffix.lower() in OUTPUT_SUFFIXES:
                raise OutputExistsError(
                    f"{Path(above, name)} is a folder with the name of an output file. Remove or "
                    "rename it, or choose another folder with -o"
                )
        if is_top:
            folders[:] = [name for name in folders if name in subfolders]
        for path in (Path(above, name) for name in (*folders, *names)):
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                raise OutputExistsError(
                    f"{path} is a link that leads outside the folder {folder}. Remove the link, or "
                    "choose another folder with -o"
                )


def is_taken(path: Path) -> bool:
    """Return whether a file has this name, or a link that may lead to no file.

    A link may come from a stranger. Writing to its name would create the file that it leads to.
    """
    return path.exists() or (not is_remote(path) and path.is_symlink())


def check_writable(path: Path) -> None:
    """Check that a local file may be replaced.

    The system allows a process to replace a read-only file in a writable folder. This function
    refuses such a file, because its owner has protected it.

    Raises
    ------
    StorageError
        If the file exists and is read-only, or is not a regular file. If its name is too long.
    """
    with storage_errors(f"looking for {path}"):
        try:
            status = path.stat()
        except FileNotFoundError:
            return
    if not stat.S_ISREG(status.st_mode):
        raise StorageError(f"{path} is not a regular file. Choose another output")
    if not status.st_mode & 0o222 or not os.access(path, os.W_OK):
        raise StorageError(f"{path} is read-only. Make it writable, or choose another output")


@contextmanager
def replacing_contents(folder: Path, last: str, optional: Sequence[str] = ()) -> Iterator[Path]:
    """Yield a new folder, then move its contents to `folder`, replacing files of the same names.

    Until the block ends, `folder` is unchanged. The contents are then moved one by one. The file
    `last` marks the folder as complete. Its old version is removed first, and its new version is
    moved last.

    Parameters
    ----------
    folder : Path
        A local folder. It is created if it does not exist.
    last : str
        Name of a file that the block writes.
    optional : sequence of str
        Names of files and folders that are removed from `folder` if the block does not write them.

    Raises
    ------
    StorageError
        If a file cannot be written or moved.
    """
    with storage_errors(f"writing into {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / last)
        for left in folder.glob(f"{NEW_CONTENTS}*"):
            shutil.rmtree(left)
        new = folder / f"{NEW_CONTENTS}{secrets.token_hex(4)}"
        new.mkdir()
        try:
            yield new
            (folder / last).unlink(missing_ok=True)
            names = {path.name for path in new.iterdir()}
            for name in {*names, *optional} - {last}:
                if (old := folder / name).is_dir() and not old.is_symlink():
                    shutil.rmtree(old)
                elif name not in names:
                    old.unlink(missing_ok=True)
            for name in sorted(names, key=lambda name: name == last):
                (new / name).replace(folder / name)
            flush(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def names_in(folder: Path) -> list[str]:
    """List the names in a folder. The list is empty if the folder does not exist.

    `glob` is not used. On an object store, it interprets brackets in the folder's name as a
    pattern.
    """
    try:
        if is_remote(folder):
            of: Any = folder
            entries = of.fs.ls(of.path, detail=False)
            return sorted(name.rstrip("/").rpartition("/")[2] for name in entries)
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove(path: Path) -> None:
    """Delete a file if it exists."""
    if not is_remote(path):
        path.unlink(missing_ok=True)
        return
    of: Any = path
    with suppress(FileNotFoundError):
        of.fs.rm_file(of.path)  # `unlink` interprets brackets as a pattern


def create(data: bytes, path: Path) -> bool:
    """Create a file atomically. If several processes try, exactly one succeeds.

    On a local disk, the caller must hold a lock. The disk's file system may lack hard links, and
    creation is then not atomic.

    Returns
    -------
    bool
        True if this call created the file. False if the file existed, which is then unchanged.

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
                # Some stores report an existing file by an error other than FileExistsError. If a
                # response is lost, the client repeats the request, and may find its own file.
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
            raise FileExistsError(f"{path} already exists") from error
        temporary.replace(path)


def check_regular(path: Path) -> os.stat_result:
    """Check that a path is a regular file. Opening a FIFO (a named pipe) would block.

    Returns
    -------
    os.stat_result
        The file's status.

    Raises
    ------
    FileNotFoundError
        If the path does not exist.
    RefusedFileError
        If the path is not a regular file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RefusedFileError(f"{path} is not a regular file. Pass another file")
    return status


def read_regular(path: Path, most: int = MAX_READ) -> bytes:
    """Read a local file that may come from a stranger.

    Parameters
    ----------
    path : Path
        The file.
    most : int
        Maximum number of bytes.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    OSError
        If the file cannot be read.
    RefusedFileError
        If the path is not a regular file, or if the file is larger than `most`. Reading a device
        never ends.
    """
    # Without O_NONBLOCK, opening a FIFO that has no writer would block forever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # `fdopen` fails for a folder, and its error has no name
        os.close(descriptor)
        raise RefusedFileError(f"{path} is not a regular file. Pass another file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > most:
            raise RefusedFileError(
                f"{path} has {status.st_size} bytes, more than the limit of {most}. Pass another "
                "file"
            )
        return file.read(status.st_size)


def read_arrays(path: Path, most: int = MAX_READ) -> dict[str, NDArray[Any]]:
    """Read every array of an ``.npz`` file of at most `most` bytes.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    RefusedFileError
        If the file is damaged, or holds pickled objects or members that are not arrays. If it is
        not a regular file, or too large.
    """
    content = read_regular(path, most)  # NumPy does not close a file that it rejects
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_unpacked_size(archive.infolist(), len(content))
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
        for name, values in arrays.items():
            if not isinstance(values, np.ndarray):  # NumPy returns the bytes of other members
                raise ValueError(f"the member {name!r} is not an array")
        return arrays
    except Exception as error:  # NumPy and zipfile raise errors of many types for damaged files
        raise RefusedFileError(
            f"{path} is not a readable .npz file: {error!r}. Get the original file again, or run "
            "the command that wrote it."
        ) from error


def check_unpacked_size(members: Iterable[zipfile.ZipInfo], size: int) -> None:
    """Check the sizes that the directory of a zip archive states. Nothing is unpacked.

    Parameters
    ----------
    members : iterable of ZipInfo
        All members.
    size : int
        Size of the archive in bytes.

    Raises
    ------
    ValueError
        If the members are larger than `MAX_UNPACKED` and `MAX_RATIO` allow. If a member that is
        stored without compression is larger than the archive.
    """
    total = 0
    for member in members:
        total += member.file_size
        is_stored = member.compress_type == zipfile.ZIP_STORED
        if is_stored and member.file_size > size:
            raise ValueError(
                f"a stored member claims {member.file_size} bytes, but the archive has {size} bytes"
            )
    if total > max(MAX_UNPACKED, MAX_RATIO * size):
        raise ValueError(f"{size} bytes would unpack to {total} bytes")


def temporary_name(path: Path) -> Path:
    """Return a new hidden name beside `path`, for a file being written or deleted."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def flush(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk.

    A failed fsync is never retried. The kernel may have dropped the unwritten pages, and a second
    fsync would then report success.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class CarefulFile(io.FileIO):
    """New file for a library that does not handle write errors.

    HDF5 ignores some disk errors and crashed on others in tests. It therefore gets this object
    instead of a file name. The object records the first error, reports success to HDF5, and raises
    the recorded error in `close`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+")
        self._failed: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all the data, or record the error."""
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while view and self._failed is None:
                view = view[super().write(view) or 0 :]
        except OSError as error:
            self._failed = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the file's size, or record the error."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._failed = self._failed or error
            return size or 0

    def close(self) -> None:
        """Close the file.

        Raises
        ------
        OSError
            The first error of any write.
        """
        super().close()
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
