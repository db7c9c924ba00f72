"""One writer at a time: an advisory lock on a file beside the feature file."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import portalocker

from clipfeat.errors import LockedError
from clipfeat.store.format import LOCK_SUFFIX
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import is_remote


@contextmanager
def locked(path: Path, target: Path) -> Iterator[None]:
    """Hold the lock file `path` while `target` is written.

    Object stores have no locks and need none: see `clipfeat.store.generations`.

    The file names the holder's process and host, is removed at the end, and is freed by the
    system if the process dies.

    Raises
    ------
    LockedError
        At once, if another process holds it; the message names that process.
    StorageError
        If the lock file cannot be made.
    """
    if is_remote(path):
        yield
        return
    with storage_errors(f"locking {target}"):
        file = _acquire(path, target)
    try:
        yield
    finally:
        # Removed while still held: whoever waited on this file finds that it is no longer the
        # one of this name, and takes a new one.
        path.unlink(missing_ok=True)
        file.close()


def check_unlocked(target: Path) -> None:
    """Refuse a feature file that another process is writing, before any long preparation.

    Raises
    ------
    LockedError
        At once; the message names that process.
    StorageError
        If the folder cannot be written to.
    """
    with locked(lock_path(target), target):
        pass


def lock_path(target: Path) -> Path:
    """The lock file of a feature file."""
    return target.with_name(target.name + LOCK_SUFFIX)


def _acquire(path: Path, target: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("a+")
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException as error:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise LockedError(
                f"{target} is being written by {owner}; wait for it to end, or give another output"
            ) from error
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            return file
        file.close()
