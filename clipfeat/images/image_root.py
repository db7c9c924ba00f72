"""Looking up the images of a table by relative path.

Three folders are tried in this order: the folder given by the caller, the table's folder, and the
current directory. All relative paths are relative to the first of them that contains one of the
images. If none of them does, the first folder is used. A path without a suffix, such as an id,
stands for the image or video with this name and any suffix.
"""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from unicodedata import normalize

from clipfeat.errors import ClipfeatWarning, DataError, UsageError
from clipfeat.images.formats import image_suffixes
from clipfeat.images.member_names import joined_path
from clipfeat.images.video import VIDEO_SUFFIXES
from clipfeat.system.locations import absolute, folder_of, is_remote, location


class ImageRoot:
    """Local folder or URL in which images are looked up by relative path.

    Parameters
    ----------
    root : str
        Absolute path or URL of the folder.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._is_remote = is_remote(root)
        self._names: dict[str, dict[str, list[str]]] = {}
        self._absent: set[str] = set()

    def find(self, path: str) -> str:
        """Return the relative path of an existing file. Add the suffix if `path` has none.

        Returns
        -------
        str
            The path, relative to the root. It is empty if there is no such local file, if `path`
            is absolute, or if `path` or the root is a URL.

        Raises
        ------
        DataError
            If several files have this name with different suffixes.
        """
        above, _, name = path.rpartition("/")
        if above in self._absent:
            return ""
        if self._is_remote or is_remote(path) or os.path.isabs(path):  # noqa: PTH117 -- fast
            return ""
        if _is_file(joined_path(self.root, path)):
            return path
        if above not in self._names:
            folder = joined_path(self.root, above or ".")
            if not os.path.exists(folder):  # noqa: PTH110 -- False for names that are too long
                self._absent.add(above)
            self._names[above] = _names_by_stem(folder)
        names = self._names[above].get(normalize("NFC", name), [])
        if len(names) > 1:
            raise DataError(
                f"{path!r} stands for several files in {joined_path(self.root, above or '.')}: "
                f"{', '.join(names)}. Add the suffix to the path"
            )
        return path.removesuffix(name) + names[0] if names else ""


def root_of_table(
    spec: str, paths: Iterable[str], image_root: str | Path | None = None
) -> ImageRoot:
    """Return the folder or URL to which the paths of a table are relative.

    Parameters
    ----------
    spec : str
        Path or URL of the table.
    paths : iterable of str
        Paths in the table. They may be iterated once for each folder.
    image_root : path, optional
        The folder given by the caller.

    Raises
    ------
    UsageError
        If `image_root` is not a folder.

    Warns
    -----
    ClipfeatWarning
        If `image_root` contains none of the images, but another folder does.
    """
    folders = [ImageRoot(folder_of(spec)), ImageRoot(str(Path.cwd()))]
    if image_root is not None:
        if not location(image_root).is_dir():
            raise UsageError(f"--image-root {image_root} is not a folder. Pass a folder")
        folders.insert(0, ImageRoot(absolute(image_root)))
    first = folders[0]
    if is_remote(first.root):
        return first
    chosen = next((root for root in folders if any(map(root.find, paths))), first)
    if image_root is not None and chosen is not first:
        warnings.warn(
            f"--image-root {image_root} contains none of the relative paths of {spec}, so they are "
            f"looked up in {chosen.root}",
            ClipfeatWarning,
            stacklevel=2,
        )
    return chosen


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)  # noqa: PTH113 -- creating a Path takes ten times as long
    except ValueError:  # on some systems, for a null character
        return False


def _names_by_stem(folder: str) -> dict[str, list[str]]:
    """Index the images and videos in a folder by their names with and without the suffix.

    The keys are in Unicode normal form C, because macOS writes accents as separate characters.
    """
    suffixes = image_suffixes() | VIDEO_SUFFIXES
    try:
        entries = sorted(Path(folder).iterdir())
    except (OSError, ValueError):
        return {}
    names: dict[str, list[str]] = {}
    for path in entries:
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            for name in (path.name, path.stem):
                names.setdefault(normalize("NFC", name), []).append(path.name)
    return names
