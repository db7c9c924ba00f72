"""Where a command may write, known before its work rather than after."""

from pathlib import Path

from clipfeat.errors import OutputExistsError
from clipfeat.system.locations import local_path


def check_file(path: Path | None, *, overwrite: bool, flag: str = "-o") -> None:
    """Refuse a file that is there, or on an object store, where only feature files are written."""
    if path is None:
        return
    local_path(path)
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists: give another {flag}, or --overwrite")


def check_folder(path: Path | None, *, overwrite: bool) -> None:
    """Refuse a folder that holds anything, or what is none."""
    if path is None:
        return
    local_path(path)
    if path.is_file():
        raise OutputExistsError(f"{path} is a file: -o takes a folder")
    if path.exists() and not overwrite and any(path.iterdir()):
        raise OutputExistsError(f"{path} is not empty: give another -o, or --overwrite")
