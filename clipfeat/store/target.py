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
        If the path is a folder. If it does not end in ``.h5`` or ``.hdf5``.
    """
    target = location(out)
    with storage_errors(f"looking for {target}"):
        is_folder = target.is_dir()
    if is_folder:
        raise UsageError(f"the output {target} is a folder. Name a feature file, such as out.h5.")
    if target.suffix.lower() not in {".h5", ".hdf5"}:
        raise UsageError(
            f"the output {target} must end in .h5 or .hdf5. Name a feature file, such as out.h5."
        )
    return target


def free_target(out: str | Path, *, overwrite: bool) -> Path:
    """Check that a path can name a new feature file.

    Raises
    ------
    UsageError
        If `check_target` refuses the path.
    OutputExistsError
        If a feature file of this name exists as a snapshot, shards or parts, and `overwrite` is
        false.
    """
    target = check_target(out)
    if is_there(target) and not overwrite:
        raise OutputExistsError(f"{target} already exists. Give another -o, or add --overwrite.")
    return target
