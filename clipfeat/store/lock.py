"""The lock of a feature file."""

from contextlib import AbstractContextManager
from pathlib import Path

from clipfeat.errors import StorageError
from clipfeat.store.format import LOCK_SUFFIX, PARTS_SUFFIX
from clipfeat.store.generations import shards_folder
from clipfeat.store.leftovers import staging_path
from clipfeat.store.stat_cache import cache_path
from clipfeat.system.locations import is_remote
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
        If the folder is not writable. If a file or folder that belongs to the feature file is a
        symbolic link.
    """
    if not is_remote(target):
        _check_links(target)
    return locked(lock_path(target), target)


def lock_path(target: Path) -> Path:
    """Return the lock file of a feature file."""
    return target.with_name(target.name + LOCK_SUFFIX)


def _check_links(target: Path) -> None:
    """Refuse links with the names of the files and folders that a writer makes beside the file.

    The writer replaces these files, and deletes files in these folders. Who made the link chose
    which files these are.
    """
    staging = staging_path(target)
    folders = [path.with_name(path.name + PARTS_SUFFIX) for path in (target, staging)]
    folders += [shards_folder(path) for path in (target, staging)]
    for path in (*folders, staging, cache_path(target), cache_path(staging)):
        if path.is_symlink():
            raise StorageError(
                f"{path} is a link. Files that it leads to could be replaced or deleted. Remove "
                "the link, or choose another output"
            )
