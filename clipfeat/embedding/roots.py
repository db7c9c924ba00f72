"""Feature files with images of several folders.

The paths of a feature file are relative to one folder, its root. If a source is in another folder,
the root becomes the deepest folder that contains both folders, and the paths of the existing rows
are changed accordingly. Two images with the same path in two folders therefore keep different rows.

If the root no longer exists and the source has the same images at the same paths, the folder was
moved. The source's folder then becomes the root, and the paths stay the same.
"""

import re
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from clipfeat.errors import ReadError
from clipfeat.images.record import ImageRecord, image_key
from clipfeat.images.samples import sample_records
from clipfeat.images.source import ImageSource, make_source
from clipfeat.store import open_stored
from clipfeat.store.combining import reroot
from clipfeat.store.known import current_rows
from clipfeat.store.loading import stored_root
from clipfeat.system.locations import below, common_folder, is_remote, location, prefixed


@dataclass(frozen=True)
class SharedRoot:
    """Source and feature file, with the folder that contains the images of both.

    Parameters
    ----------
    images : ImageSource
        The source. Its paths are relative to the shared root.
    prefix : str
        Path from the shared root to the root of the feature file, with a slash at its end. Empty if
        the two roots are equal.
    is_moved : bool
        Whether the folder with the images of the feature file was moved.
    folders : tuple of str
        Prefixes of the paths below the shared root, one for each folder or file that the source
        covers. Each is empty, or ends with a slash or ``#``. If there are no prefixes, it is
        unknown which images are no longer in the source.
    """

    images: ImageSource
    prefix: str = ""
    is_moved: bool = False
    folders: tuple[str, ...] = ("",)

    def apply(self, target: Path) -> None:
        """Make the paths of the feature file relative to the shared root."""
        if self.prefix or self.is_moved:
            reroot(target, self.images.root, self.prefix)

    def of_other_folders(self, paths: Set[str]) -> Set[str]:
        """Return the paths that are in none of the folders that the source covers."""
        return {path for path in paths if not path.startswith(self.folders)}


def shared_root(images: ImageSource, target: Path) -> SharedRoot:
    """Find the folder that contains the images of a source and of a feature file.

    Parameters
    ----------
    images : ImageSource
        The source.
    target : path
        The feature file. It need not exist.

    Raises
    ------
    UsageError
        If no folder contains both, for example because only the source is remote.
    """
    stored, own = stored_root(target), _resolved(images.root)
    if not stored or not images.root or _same_folder(stored, own):
        return SharedRoot(_relative_to(images, stored or images.root, ""), folders=_covered(images))
    old = _resolved(stored)
    if not location(old).exists() and _was_moved(images, target):
        return SharedRoot(images, is_moved=True, folders=_covered(images))
    root = common_folder([old, own])
    to_source, to_stored = (_prefix(root, folder) for folder in (own, old))
    folders = tuple(prefixed(to_source, folder) or to_source for folder in _covered(images))
    return SharedRoot(_relative_to(images, root, to_source), to_stored, folders=folders)


def _relative_to(images: ImageSource, root: str, prefix: str) -> ImageSource:
    """Return a source whose paths are relative to a folder above its root."""
    if not prefix:
        return replace(images, root=root)
    records = [replace(record, path=prefixed(prefix, record.path)) for record in images]
    return make_source(images.name, root, records, skipped=images.skipped, places=images.places)


def _covered(images: ImageSource) -> tuple[str, ...]:
    """Return the prefixes of the paths that a source covers: the folders and files that it listed.

    An archive is a folder of its members. The rows of a Parquet file may have numbers instead of
    names, as in ``train.parquet#3``. Tables and lists cover no folder, because they may name some
    of its images only.
    """
    root = _resolved(images.root)
    if is_remote(root) and not images.places:
        return ("",)
    covered: list[str] = []
    for place in images.places:
        prefix = _prefix(root, _resolved(place))
        covered.append(prefix)
        if Path(place).is_file():
            covered.append(prefix.removesuffix("/") + "#")
    return tuple(covered)


def _prefix(root: str, folder: str) -> str:
    """Return the path from `root` to a folder below it, with a slash at its end.

    The path is empty if the folder is the root.
    """
    path = below(root, folder)
    return path and path + "/"


def _resolved(root: str) -> str:
    """Return a folder without ``..``."""
    return root if is_remote(root) or ".." not in Path(root).parts else str(Path(root).resolve())


def _same_folder(one: str, other: str) -> bool:
    if one == other or is_remote(one) or is_remote(other):
        return one == other
    with suppress(OSError):
        return Path(one).samefile(other)
    return False


def _was_moved(images: ImageSource, target: Path) -> bool:
    """Return whether the folder of a feature file was moved to that of a source.

    This is assumed if the source has an image with the path and the bytes of a row.
    """
    with open_stored(target) as stored:
        keys = {row.path: row.key for row in current_rows(stored, [])}
    common = [record for record in images if record.path in keys]
    if not common:  # paths of views, faces and frames are longer than those of images
        paths = {record.path for record in images}
        return any(re.split("[#@]", path)[0] in paths for path in keys)
    return any(_key(record) == keys[record.path] for record in sample_records(common))


def _key(record: ImageRecord) -> bytes:
    try:
        return image_key(record.reader.read())
    except ReadError:
        return b""
