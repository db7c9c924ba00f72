"""Feature files of object stores, copied to this machine to be read.

HDF5 could read through fsspec, and hang by it: one lock guards all of h5py, and whoever reads holds
it while another thread of this process fetches the bytes; where that thread collects garbage of
h5py's, it waits for the lock. So bytes are fetched before HDF5 is asked for anything. Files that
are committed never change, and are fetched once by a process.
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


def fetched(path: Path) -> Path:
    """A copy on this machine, which is removed when the process ends.

    Parameters
    ----------
    path : Path
        On an object store.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StorageError
        If the store does not answer, or there is no room for the copy.
    """
    of: Any = path
    with _LOCK:
        try:
            with storage_errors(f"reading {path}"):
                about = of.fs.info(of.path)
                what = ("size", "ETag", "etag", "mtime", "created", "LastModified")
                key = (str(path), *(str(about.get(name)) for name in what))
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
