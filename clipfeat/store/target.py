"""Checking the output path of a feature file."""

import os
from pathlib import Path

from clipfeat.errors import OutputExistsError, UsageError
from clipfeat.store.reading import is_there
from clipfeat.system.files import check_writable, storage_errors
from clipfeat.system.locations import followed, is_remote, location

MAX_NAME = 220
"""Maximum length of a feature file's name, in bytes.

File systems allow 255 bytes. The lock, the parts and temporary files have longer names than the
feature file.
"""


def check_target(out: str | Path) -> Path:
    """Check that a path can name a feature file.

    Returns
    -------
    Path
        The path. A symbolic link is followed.

    Raises
    ------
    UsageError
        If the path is a folder. If it does not end in ``.h5`` or ``.hdf5``. If its name is too
        long.
    StorageError
        If the file exists and is read-only.
    """
    target = location(out)
    n_bytes = len(os.fsencode(target.name))
    if n_bytes > MAX_NAME:
        raise UsageError(
            f"the name {target.name[:20]}… has {n_bytes} bytes, but a feature file's name may have "
            f"at most {MAX_NAME}. Choose a shorter name"
        )
    target = followed(target)
    with storage_errors(f"looking for {target}"):
        is_folder = target.is_dir()
    if is_folder:
        raise UsageError(f"the output {target} is a folder. Name a feature file, such as out.h5.")
    if not is_remote(target):
        check_writable(target)
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
        raise OutputExistsError(
            f"{target} already exists. Pass another path with -o, or add --overwrite."
        )
    return target
