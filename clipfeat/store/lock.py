"""The lock of a feature file."""

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
    with locked(lock_path(target), target):
        pass


def lock_path(target: Path) -> Path:
    """Return the lock file of a feature file."""
    return target.with_name(target.name + LOCK_SUFFIX)
