"""Folders of images and videos, with classes from the names of subfolders.

The label is the name of the first subfolder: ``images/cat/1.jpg`` has the label *cat*.

Data sets for the detection of generated images have a different layout. Each path contains one
folder of a pair: ``real`` and ``fake``, ``0_real`` and ``1_fake``, or ``nature`` and ``ai``. This
folder gives the label, *real* or *fake*. The folders above it give the column ``generator``.

A folder named after a part of an official split, such as ``train``, ``val`` or ``test``, gives the
column ``split``, and never the label. See `clipfeat.features.official_parts.PART_NAMES`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clipfeat.features.official_parts import SPLIT, official_part
from clipfeat.images.decode import SUFFIXES
from clipfeat.images.readers import FileBytes, RemoteObject
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.images.video import VIDEO_SUFFIXES
from clipfeat.system.locations import absolute, as_url, is_remote, location

REAL_FAKE_FOLDERS = (("real", "fake"), ("0_real", "1_fake"), ("nature", "ai"))
UNAMBIGUOUS = {"0_real": "real", "1_fake": "fake"}
"""Labels of folder names that are clear even if the layout is not recognised."""


def open_folder(spec: str) -> ImageSource:
    """List the images and videos below a folder, without hidden files, sorted by path."""
    root = location(spec)
    paths = sorted(_walk(root))
    pair = _real_fake_pair(paths)
    records = [_record(root, path, pair) for path in paths]
    return make_source(f"the folder {spec}", absolute(spec), records)


def _walk(root: Path) -> Iterator[tuple[str, ...]]:
    """Yield the parts of each image's path below `root`, without following links to folders."""
    if is_remote(root):
        yield from _list_objects(root)
        return
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        above = Path(folder).relative_to(root).parts
        for name in files:
            if _is_listed(name):
                yield (*above, name)


def _list_objects(root: Any) -> Iterator[tuple[str, ...]]:
    """Yield the parts of each path on an object store. One request lists all levels."""
    n_above = len(root.path.rstrip("/")) + 1
    for path in root.fs.find(root.path):
        parts = tuple(path[n_above:].split("/"))
        if _is_listed(parts[-1]) and not any(part.startswith(".") for part in parts):
            yield parts


def _is_listed(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES | VIDEO_SUFFIXES


def _real_fake_pair(paths: list[tuple[str, ...]]) -> tuple[str, str] | None:
    """Return the pair of folder names that gives the labels, or None.

    Every path must contain exactly one name of the pair, and both names must occur.
    """
    for pair in REAL_FAKE_FOLDERS:
        counts = [sum(part.lower() in pair for part in path[:-1]) for path in paths]
        names = {part.lower() for path in paths for part in path[:-1]} & set(pair)
        if counts and set(counts) == {1} and len(names) == 2:
            return pair
    return None


def _record(root: Path, path: tuple[str, ...], pair: tuple[str, str] | None) -> ImageRecord:
    folders = list(path[:-1])
    columns = {}
    for folder in folders[:]:
        if (part := official_part(folder)) and SPLIT not in columns:
            columns[SPLIT] = part
            folders.remove(folder)
    label = UNAMBIGUOUS.get(folders[0].lower(), folders[0]) if folders else ""
    if pair is not None:
        class_folder = next(folder for folder in folders if folder.lower() in pair)
        label = "real" if class_folder.lower() == pair[0] else "fake"
        if above := folders[: folders.index(class_folder)]:
            columns["generator"] = "/".join(above)
    return ImageRecord(
        path="/".join(path),
        reader=RemoteObject(f"{as_url(root)}/{'/'.join(path)}")
        if is_remote(root)
        else FileBytes(str(root.joinpath(*path))),
        label=label,
        columns=tuple(sorted(columns.items())),
    )
