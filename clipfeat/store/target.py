"""Checking the output path of a feature file."""

from pathlib import Path

from clipfeat.errors import OutputExistsError, UsageError
from clipfeat.store.reading import is_there
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import location


def check_target(out: str | Path) -> Path:
    """Check that a path can name a feature file.

    Raises
    ------
    UsageError
        If it is a folder, or does not end in ``.h5`` or ``.hdf5``.
    """
    target = location(out)
    with storage_errors(f"looking for {target}"):
        is_folder = target.is_dir()
    if is_folder:
        raise UsageError(f"the output {target} is a folder. Name a feature file, such as out.h5")
    if target.suffix.lower() not in {".h5", ".hdf5"}:
        raise UsageError(f"the output {target} must end in .h5. Name a feature file")
    return target


def free_target(out: str | Path, *, overwrite: bool) -> Path:
    """Check that a path can name a new feature file.

    Raises
    ------
    UsageError
        As `check_target`.
    OutputExistsError
        If a feature file, or only its parts, exists and `overwrite` is false.
    """
    target = check_target(out)
    if is_there(target) and not overwrite:
        raise OutputExistsError(f"{target} exists. Give another -o, or --overwrite")
    return target
