"""Local copies of feature files on object stores.

Files are copied to a local disk before HDF5 opens them, because reading through fsspec can
deadlock. A single lock guards all of h5py, and a reading thread holds this lock while another
thread fetches the bytes. If the garbage collector frees an h5py object in the fetching thread, that
thread waits for the lock, and both threads wait forever. Committed files never change, so each
process copies a file once.
"""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from clipfeat.system.files import storage_errors, temporary_name

_LOCK = Lock()
_COPIES: dict[tuple[str, ...], Path] = {}


def fetch(path: Path) -> Path:
    """Copy a remote file to this machine. The copy is removed when the process ends.

    Parameters
    ----------
    path : Path
        A path on an object store.

    Returns
    -------
    Path
        The local copy.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    StorageError
        If the store does not answer, or the local disk is full.
    """
    of: Any = path
    with _LOCK:
        try:
            with storage_errors(f"reading {path}"):
                about = of.fs.info(of.path)
                version = ("size", "ETag", "etag", "mtime", "created", "LastModified")
                key = (str(path), *(str(about.get(name)) for name in version))
                if key not in _COPIES:
                    copy = _folder() / f"{len(_COPIES)}.h5"
                    temporary = temporary_name(copy)
                    of.fs.get_file(of.path, str(temporary))
                    temporary.replace(copy)
                    _COPIES[key] = copy
        except OSError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise error.__cause__ from None
            raise
        return _COPIES[key]


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="clipfeat-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
