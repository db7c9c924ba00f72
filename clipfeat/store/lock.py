"""The lock of a feature file."""

from contextlib import AbstractContextManager
from pathlib import Path

from clipfeat.store.format import LOCK_SUFFIX
from clipfeat.system.lock import locked


def check_unlocked(target: Path) -> None:
    """Check that no other process is writing a feature file.

    Raises
    ------
    LockedError
        If another process is writing the file. The message names that process.
    StorageError
        If the folder is not writable.
    """
    with write_lock(target):
        pass


def write_lock(target: Path) -> AbstractContextManager[None]:
    """Return a context manager that holds the lock of a feature file.

    A command that reads a file to decide how to change it must hold the lock from before the read
    until the end of the change. Otherwise, another process may change the file in between.

    Raises
    ------
    LockedError
        If another process is writing the file. The message names that process.
    StorageError
        If the folder is not writable.
    """
    return locked(lock_path(target), target)


def lock_path(target: Path) -> Path:
    """Return the lock file of a feature file."""
    return target.with_name(target.name + LOCK_SUFFIX)
