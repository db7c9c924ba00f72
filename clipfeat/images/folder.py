"""A folder of images and videos: classes by the names of its folders.

The label is the first folder below the root (``images/cat/1.jpg`` is a *cat*), except in the
layouts that detection's data sets share: where folders named ``real`` and ``fake``, ``0_real`` and
``1_fake``, or ``nature`` and ``ai`` stand at any depth, those are the classes *real* and *fake*,
and what stands above them is kept as the column ``generator``. Folders named as splits (``train``,
``val``, ``test``) become the column ``split`` rather than a class.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clipfeat.images.decode import SUFFIXES
from clipfeat.images.readers import FileBytes, RemoteObject
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, listed
from clipfeat.images.video import VIDEO_SUFFIXES
from clipfeat.system.locations import absolute, as_url, is_remote, location

REAL_FAKE_FOLDERS = (("real", "fake"), ("0_real", "1_fake"), ("nature", "ai"))
ALWAYS = {"0_real": "real", "1_fake": "fake"}  # names that can mean nothing else
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def open_folder(spec: str) -> ImageSource:
    """List the images and videos below a folder, hidden files left out, sorted by path."""
    root = location(spec)
    paths = sorted(_walk(root))
    pair = _real_fake_pair(paths)
    records = [_record(root, path, pair) for path in paths]
    return listed(f"the folder {spec}", absolute(spec), records)


def _walk(root: Path) -> Iterator[tuple[str, ...]]:
    """Yield each image's path below `root` as its parts. Links to folders are not followed."""
    if is_remote(root):
        yield from _found(root)
        return
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        above = Path(folder).relative_to(root).parts
        for name in files:
            if _is_wanted(name):
                yield (*above, name)


def _found(root: Any) -> Iterator[tuple[str, ...]]:
    """The same of an object store, which lists all that is below in one go."""
    n_above = len(root.path.rstrip("/")) + 1
    for path in root.fs.find(root.path):
        parts = tuple(path[n_above:].split("/"))
        if _is_wanted(parts[-1]) and not any(part.startswith(".") for part in parts):
            yield parts


def _is_wanted(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES | VIDEO_SUFFIXES


def _real_fake_pair(paths: list[tuple[str, ...]]) -> tuple[str, str] | None:
    """The pair of folder names of which every image stands below exactly one, if any."""
    for pair in REAL_FAKE_FOLDERS:
        hits = [sum(part.lower() in pair for part in path[:-1]) for path in paths]
        seen = {part.lower() for path in paths for part in path[:-1]} & set(pair)
        if hits and set(hits) == {1} and len(seen) == 2:
            return pair
    return None


def _record(root: Path, path: tuple[str, ...], pair: tuple[str, str] | None) -> ImageRecord:
    folders = list(path[:-1])
    columns = {}
    for folder in folders[:]:
        if folder.lower() in SPLITS and "split" not in columns:
            columns["split"] = SPLITS[folder.lower()]
            folders.remove(folder)
    label = ALWAYS.get(folders[0].lower(), folders[0]) if folders else ""
    if pair is not None:
        found = next(folder for folder in folders if folder.lower() in pair)
        label = "real" if found.lower() == pair[0] else "fake"
        if above := folders[: folders.index(found)]:
            columns["generator"] = "/".join(above)
    return ImageRecord(
        path="/".join(path),
        reader=RemoteObject(f"{as_url(root)}/{'/'.join(path)}")
        if is_remote(root)
        else FileBytes(str(root.joinpath(*path))),
        label=label,
        columns=tuple(sorted(columns.items())),
    )
