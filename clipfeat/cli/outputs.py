"""Checks of output paths before the work starts."""

from pathlib import Path

from clipfeat.errors import OutputExistsError
from clipfeat.system.locations import local_path


def check_file(path: Path | None, *, overwrite: bool, flag: str = "-o") -> None:
    """Raise an error if an output file exists, is read-only, or is on an object store.

    Only feature files can be written to an object store.
    """
    if path is None:
        return
    from clipfeat.system.files import check_writable, is_taken

    local_path(path)
    if is_taken(path) and not overwrite:
        raise OutputExistsError(f"{path} exists. Choose another {flag} or add --overwrite.")
    check_writable(path)


def check_folder(path: Path | None, *, overwrite: bool) -> None:
    """Raise an error if an output folder is a file, is not empty or is on an object store."""
    if path is None:
        return
    local_path(path)
    if path.is_file():
        raise OutputExistsError(f"{path} is a file, expected a folder. Choose another -o.")
    if path.exists() and not overwrite and any(path.iterdir()):
        raise OutputExistsError(f"{path} is not empty. Choose another -o or add --overwrite.")
