"""Find the likeliest reason why none of the listed images exists.

The reason names a similar file that exists, as an example.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from clipfeat.errors import DataError
from clipfeat.images.image_root import ImageRoot

N_PATHS = 5
MOST_FOLDERS = 300


def likeliest_cause(paths: Sequence[str], root: str, *, is_table: bool) -> str:
    """Explain why none of the paths of a source names a file, and how to correct them.

    Parameters
    ----------
    paths : sequence of str
        Paths of missing images, relative to `root`.
    root : str
        Folder of the source.
    is_table : bool
        Whether the source is a table, for which ``--image-root`` can be given.

    Returns
    -------
    str
        The explanation. Empty if no similar file was found.
    """
    for path in paths[:N_PATHS]:
        if file := _other_capitals(Path(root, path)):
            return (
                f"{path!r} is not in {root}, but {file} exists. Write the paths with the capitals "
                "of the files"
            )
    folders = [ImageRoot(folder) for folder in _near_folders(root)]
    for path in paths[:N_PATHS]:
        for variant in _variants(path):
            for folder in folders:
                with suppress(DataError):
                    if file := folder.find(variant):
                        return _remedy(path, root, folder.root, variant, file, is_table)
    return ""


def _other_capitals(path: Path) -> str:
    """Return the file whose name differs from that of a missing file only in capitals."""
    with suppress(OSError, ValueError):
        for name in sorted(os.listdir(path.parent)):  # noqa: PTH208 -- names only
            if name.casefold() == path.name.casefold() and name != path.name:
                return str(path.with_name(name))
    return ""


def _remedy(path: str, root: str, folder: str, variant: str, file: str, is_table: bool) -> str:
    exists = f"{path!r} is not in {root}, but {Path(folder, file)} exists"
    if "\\" in path:
        return f"{exists}. Replace the backslashes in the paths by slashes"
    if variant != path:
        return f"{exists}. Correct the folders in the paths"
    if is_table:
        return f"{exists}. Pass --image-root {folder}"
    if file != path:
        return f"{exists}. Add the suffix {PurePosixPath(file).suffix} to the paths"
    return f"{exists}. Run the command in {folder}"


def _variants(path: str) -> Iterator[str]:
    """Yield a path with slashes for backslashes, then without its first folder, first two, etc."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if parts[:1] == ("/",):
        parts = parts[1:]
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def _near_folders(root: str) -> Iterator[str]:
    """Yield folders that may contain a missing file, the nearest first.

    They are the root, the current directory, the two folders above the root, and then the
    subfolders of the root and of the current directory.
    """
    start = Path(root)
    nearest = list(dict.fromkeys([start, Path.cwd(), *list(start.parents)[:2]]))
    yield from map(str, nearest)
    n_left = MOST_FOLDERS
    for folder in nearest[:2]:
        for inner, names, _ in os.walk(folder):
            names[:] = sorted(name for name in names if not name.startswith("."))
            if len(Path(inner).relative_to(folder).parts) >= 3:
                names.clear()
            if inner != str(folder):
                yield inner
            n_left -= 1
            if n_left <= 0:
                return
