"""Folders of images and videos, with classes from the names of subfolders.

The label is the name of the first subfolder: ``images/cat/1.jpg`` has the label *cat*.

Data sets for the detection of generated images have other layouts, in which the folders give the
label *real* or *fake*, and the columns ``generator`` and ``category``. `clipfeat.images.layouts`
recognises them. Files such as ``labels.csv`` and the ``metadata.json`` of DFDC replace the labels
of folders. See `clipfeat.images.label_files`.

A folder named after a part of an official split, such as ``train``, ``val`` or ``test``, sets the
column ``split``, and never the label. See `clipfeat.features.official_parts.PART_NAMES`.
"""

import errno
import heapq
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from clipfeat.errors import RefusedFileError, StorageError
from clipfeat.images.formats import HEAD_BYTES
from clipfeat.images.label_files import LABEL_FILES, MAX_BYTES, LabelFile, with_label_files
from clipfeat.images.layouts import CLASS_FOLDERS, PathValues, understand
from clipfeat.images.readers import FileBytes, RemoteObject, read_head
from clipfeat.images.record import ImageRecord
from clipfeat.images.skipping import (
    BROKEN_LINK,
    HIDDEN,
    LOOP,
    REPEATED_FOLDER,
    is_hidden,
    skipped_kind,
)
from clipfeat.images.source import ImageSource, make_source
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import absolute, as_url, below, is_remote, location

KindOf = Callable[[str, str], str]


def open_folder(spec: str) -> ImageSource:
    """List the images and videos below a folder, sorted by path.

    Links to folders are followed, except links to a folder above them and links to a folder that is
    already listed. Both are counted as skipped. A folder with several paths is listed at the path
    with the fewest links, or at the first of several such paths.

    Raises
    ------
    StorageError
        If a folder cannot be listed.
    EmptySourceError
        If there is no image.
    RefusedFileError
        If a table of labels in the folder cannot be read.
    UnknownNameError
        If several columns of such a table match the same usual name.
    LabelError
        If a file of labels contradicts itself or the names of the folders.
    """
    root = location(spec)
    skipped: Counter[str] = Counter()
    files: list[LabelFile] = []

    def kind_of(name: str, path: str) -> str:
        if name.lower() in LABEL_FILES and location(path).is_file():  # not a pipe or broken link
            inside = below(as_url(root), path)
            files.append(LabelFile(inside, f"{spec}/{inside}", partial(_content, path)))
        return _kind(name, path)

    walk = (
        _list_objects(root, skipped, kind_of)
        if is_remote(root)
        else _walk(str(root), skipped, kind_of)
    )
    paths = sorted(walk)
    understood = understand(paths, root=Path(absolute(spec)).name)
    records = [
        _record(root, path, values) for path, values in zip(paths, understood.values, strict=True)
    ]
    is_known = understood.layout != CLASS_FOLDERS
    labelled = with_label_files(records, files, skipped, keeps_others=is_known)
    skipped -= Counter(PurePosixPath(file.path).suffix.lower() for file in labelled.used)
    places = () if is_remote(root) else (absolute(spec),)
    source = make_source(
        f"the folder {spec}", absolute(spec), labelled.records, skipped=skipped, places=places
    )
    notes = (*(understood.notes if is_known or not labelled.used else ()), *labelled.notes)
    if n_pickled := skipped[".pickle"] + skipped[".pkl"]:
        notes += (
            f"{n_pickled} pickle files are not read, because loading one can run arbitrary code. "
            "If they list the images of a class, pass the folders of that class with --real or "
            "--fake",
        )
    layout = " and ".join(_layout_names(understood.layout, labelled.used))
    return replace(source, layout=layout, notes=notes)


def _layout_names(layout: str, used: Sequence[LabelFile]) -> list[str]:
    """Return the layout of the folders, and the names of the label files that were used.

    If label files replace the labels of class folders, only the names of these files are returned.
    """
    names = sorted({PurePosixPath(file.path).name for file in used})
    return names if names and layout in {"", CLASS_FOLDERS} else [layout, *names]


def _content(file: str) -> bytes:
    """Read a file of labels."""
    path = location(file)
    with storage_errors(f"reading {file}"):
        if path.stat().st_size > MAX_BYTES:
            raise RefusedFileError(
                f"{file} is read as a file of labels, but has more than {MAX_BYTES} bytes. If it "
                "holds no labels, rename it"
            )
        return path.read_bytes()


def find_files(spec: str, skipped: Counter[str], kind_of: KindOf) -> Iterator[str]:
    """Yield the paths of the files below a local or remote folder, and count skipped files.

    Parameters
    ----------
    spec : str
        Path or URL of the folder.
    skipped : Counter
        Number of skipped files, by kind.
    kind_of : callable
        Takes the name and the path of a file. Returns the kind under which the file is skipped, or
        an empty string.

    Raises
    ------
    StorageError
        If a folder cannot be listed.
    """
    root = location(spec)
    paths = (
        _list_objects(root, skipped, kind_of)
        if is_remote(root)
        else _walk(str(root), skipped, kind_of)
    )
    for parts in paths:
        yield f"{as_url(root).rstrip('/')}/{'/'.join(parts)}"


def _walk(
    root: str, skipped: Counter[str], kind_of: KindOf | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield the parts of each image's path below `root`, and count the skipped files.

    Folders with few links in their path come first. Each folder is thus listed at most once, even
    if folders contain links to one another.
    """
    kind_of = kind_of or _kind
    listed_folders: set[tuple[int, int]] = set()
    pending: list[tuple[int, tuple[str, ...], frozenset[tuple[int, int]]]] = [(0, (), frozenset())]
    while pending:
        n_links, above, outer = heapq.heappop(pending)
        folder = os.path.join(root, *above)  # noqa: PTH118 -- ten times as fast as `Path`
        try:
            status = os.stat(folder)  # noqa: PTH116
            identity = status.st_dev, status.st_ino
            if identity in outer:
                skipped[LOOP] += 1
                continue
            # Only a link can repeat a folder. Some network drives give many folders one number.
            if n_links and identity in listed_folders:
                skipped[REPEATED_FOLDER] += 1
                continue
            listed_folders.add(identity)
            with os.scandir(folder) as entries:
                listed = [
                    (entry.name, entry.path, _is_folder(entry), entry.is_symlink())
                    for entry in entries
                ]
        except OSError as error:
            raise StorageError(
                f"the folder {folder} cannot be listed: {error.strerror}. Make it readable, or "
                "move it out of the source"
            ) from error
        for name, path, is_folder, is_link in listed:
            if is_folder:
                if not is_hidden([name]):
                    heapq.heappush(pending, (n_links + is_link, (*above, name), outer | {identity}))
            elif kind := kind_of(name, path):
                skipped[kind] += 1
            else:
                yield (*above, name)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself
            return False
        raise


def _list_objects(
    root: Any, skipped: Counter[str], kind_of: KindOf | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield the parts of each path on an object store. One request lists all folders."""
    kind_of = kind_of or _kind
    n_above = len(root.path.rstrip("/")) + 1
    for path in root.fs.find(root.path):
        parts = tuple(path[n_above:].split("/"))
        if is_hidden(parts[:-1]):
            continue
        if kind := kind_of(parts[-1], f"{as_url(root)}/{'/'.join(parts)}"):
            skipped[kind] += 1
        else:
            yield parts


def _kind(name: str, path: str) -> str:
    if is_hidden([name]):
        return HIDDEN
    kind = skipped_kind(name, partial(read_head, path, HEAD_BYTES))
    return BROKEN_LINK if kind and not is_remote(path) and not Path(path).exists() else kind


def _record(root: Path, path: tuple[str, ...], values: PathValues) -> ImageRecord:
    return ImageRecord(
        path="/".join(path),
        reader=RemoteObject(f"{as_url(root)}/{'/'.join(path)}")
        if is_remote(root)
        else FileBytes(str(root.joinpath(*path))),
        label=values.label,
        group=values.group,
        columns=values.columns,
    )
