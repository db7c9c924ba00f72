"""Advisory locks, so that only one process writes a feature file or a run folder."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from clipfeat.errors import LockedError, StorageError
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import is_remote


@contextmanager
def locked(path: Path, target: Path) -> Iterator[None]:
    """Hold the lock file `path` for the duration of the block.

    The lock file names the process and the host that hold it, and is removed at the end. The
    system releases the lock if the process dies. Object stores have no locks and need none: see
    `clipfeat.store.generations`.

    Raises
    ------
    LockedError
        If another process holds the lock. The message names that process. The function does not
        wait for the lock.
    StorageError
        If the lock file cannot be created, or if a link or a pipe has its name.
    """
    if is_remote(path):
        yield
        return
    with storage_errors(f"locking {target}"):
        file = _acquire(path, target)
    try:
        yield
    finally:
        # The file is removed while the lock is held. Another process may have opened this file
        # before, and may lock it afterwards. In that process, `_acquire` then finds that the path
        # no longer leads to the locked file, and opens a new file.
        path.unlink(missing_ok=True)
        file.close()


def _acquire(path: Path, target: Path) -> IO[str]:
    import portalocker  # reading a feature file needs no lock

    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = _open_regular(path)
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException as error:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise LockedError(
                f"{target} is being written by {owner}. Wait until that process ends, or "
                "pass another output."
            ) from error
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.lstat()):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            return file
        file.close()


def _open_regular(path: Path) -> IO[str]:
    """Open a lock file, and refuse a link or a pipe, which another user may have put there."""
    # Without O_NONBLOCK, opening a FIFO that has no writer would block forever.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o644)
    except OSError:
        if path.is_symlink():
            raise _not_regular(path) from None
        raise
    status = os.fstat(descriptor)
    # A hard link also leads to another file, which would be overwritten with the owner's name.
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise _not_regular(path)
    return os.fdopen(descriptor, "a+", encoding="utf-8", errors="replace")


def _not_regular(path: Path) -> StorageError:
    return StorageError(
        f"the lock file {path} is a link, pipe or device, not a regular file. Remove it."
    )
