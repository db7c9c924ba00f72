"""Files in a folder that give the labels of its images and videos.

``labels.csv``, ``labels.tsv``
    A table with columns of paths and labels, as in the shards of NTIRE. It labels the images of its
    own folder and below. It is ignored if it has no such columns, or names no image. It is an error
    if it cannot be read as a table, or if several of its columns match the same usual name.
``metadata.json``
    The list of videos in one part of DFDC. It gives the label, the split and the original of each
    video. The group of a video is the name of its original, or its own name if it has no original.
``List_of_testing_videos.txt``
    The list of test videos of Celeb-DF, in which **1 means real**. Videos that are not in the list
    are in the split ``train``. The list must agree with the names of the folders.

For each image, the file in the nearest folder above it applies. If this folder has several such
files, the first in the order above applies. Images that ``labels.csv``, ``labels.tsv`` or
``metadata.json`` does not name are unlabelled, and a note gives their number. A table of decisions
(see `clipfeat.features.decisions`) is an exception: images that it does not name keep their label.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from clipfeat.errors import LabelError, RefusedFileError
from clipfeat.features.official_parts import SPLIT, official_part
from clipfeat.features.pairing import pair_names
from clipfeat.features.text_tables import has_decisions, text_table
from clipfeat.images.labels import label_records
from clipfeat.images.layout_table import FAKE, REAL
from clipfeat.images.manifest import TableColumns, find_columns, table_rows
from clipfeat.images.path_prefixes import indices_below
from clipfeat.images.record import ImageRecord
from clipfeat.images.skipping import UNPAIRED
from clipfeat.images.source import relabel

MAX_BYTES = 2**28
"""Maximum size of a file of labels."""
MAX_JSON, MAX_LIST = 2**25, 2**22
"""Maximum sizes of ``metadata.json`` and of the list of test videos. Parsing the JSON file takes up
to 20 times its size in memory. Parsing the list takes about a second for each megabyte."""


@dataclass(frozen=True)
class LabelFile:
    """A file of labels.

    Parameters
    ----------
    path : str
        Path below the source.
    name : str
        Name for messages.
    read : callable
        Returns its bytes.
    """

    path: str
    name: str
    read: Callable[[], bytes]

    @property
    def kind(self) -> str:
        """File name in lower case, a key of `LABEL_FILES`."""
        return self.path.rpartition("/")[2].lower()

    @property
    def folder(self) -> str:
        """Path of its folder, with a slash at the end. Empty for a file directly in the source."""
        return self.path[: self.path.rfind("/") + 1]


@dataclass(frozen=True)
class Labelled:
    """Records that were labelled by files of labels.

    Parameters
    ----------
    records : list of ImageRecord
        All records, in the given order.
    used : list of LabelFile
        The files that name at least one image.
    notes : tuple of str
        Notes on the images that are unlabelled because no file names them.
    """

    records: list[ImageRecord]
    used: list[LabelFile]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NamedRecords:
    """Records that were labelled by one file of labels.

    Parameters
    ----------
    records : list of ImageRecord
        The records below the folder of the file, in the given order.
    keeps_others : bool
        Whether images that the file does not name keep their own label.
    """

    records: list[ImageRecord]
    keeps_others: bool = False


def with_label_files(
    records: Sequence[ImageRecord],
    files: Sequence[LabelFile],
    skipped: Counter[str],
    *,
    keeps_others: bool,
) -> Labelled:
    """Label records by the files of labels in the folders above them.

    Parameters
    ----------
    records : sequence of ImageRecord
        Records with the paths below the source.
    files : sequence of LabelFile
        The files below the source.
    skipped : Counter
        Counts the entries for which there is no image.
    keeps_others : bool
        Whether images without a file of labels in the folders above them keep their own label. If
        false, they become unlabelled if any file other than a table of decisions labels images.

    Raises
    ------
    RefusedFileError
        If a table cannot be read.
    UnknownNameError
        If several columns of a table match the same usual name.
    LabelError
        If entries for one image differ, or if a list contradicts the names of the folders.
    DataError
        If a name in a table matches several images.
    """
    labelled = list(records)
    left = set(range(len(records)))
    used: list[LabelFile] = []
    notes: list[str] = []
    replaces = False
    order = list(LABEL_FILES)
    inside_of = indices_below([record.path for record in records])
    for file in sorted(files, key=lambda file: (-len(file.folder), order.index(file.kind))):
        inside = [i for i in inside_of(file.folder) if i in left]
        own = [records[i] for i in inside]
        content = file.read() if inside else b""
        named = LABEL_FILES[file.kind](own, file, content, skipped) if inside else None
        if named is None:
            continue
        used.append(file)
        left.difference_update(inside)
        for i, record in zip(inside, named.records, strict=True):
            labelled[i] = record
        if named.keeps_others:
            continue
        replaces = True
        if n := sum(not record.label for record in named.records):
            notes.append(
                f"{n} of {len(named.records)} images are not in {file.path}, so they are unlabelled"
            )
    if replaces and left and not keeps_others:
        for i in left:
            labelled[i] = relabel(labelled[i], "")
        notes.append(f"{len(left)} images are below no file of labels, so they are unlabelled")
    return Labelled(labelled, used, tuple(notes))


def _of_table(
    records: Sequence[ImageRecord], file: LabelFile, content: bytes, skipped: Counter[str]
) -> NamedRecords | None:
    table = text_table(content, file.name)
    columns = find_columns(table, file.name, TableColumns(), needs_path=False, has_options=False)
    if not columns.path or not columns.label:
        return None
    rows = table_rows(table, columns)
    paths = [record.path.removeprefix(file.folder) for record in records]
    if not any(i is not None for i in pair_names([row.path for row in rows], paths, file.name)):
        return None
    keeps_others = has_decisions(table)
    named = label_records(
        file.folder, records, paths, rows, file.name, columns.path, skipped,
        keeps_others=keeps_others,
    )  # fmt: skip
    return NamedRecords(named, keeps_others)


def _of_metadata(
    records: Sequence[ImageRecord], file: LabelFile, content: bytes, skipped: Counter[str]
) -> NamedRecords | None:
    """Read ``metadata.json``: for each video, ``{"label": "FAKE", "original": …, "split": …}``."""
    _check_size(file, content, MAX_JSON)
    entries = _json_object(content)
    labels = {"REAL": REAL, "FAKE": FAKE}
    if not entries or not all(
        isinstance(entry, dict) and entry.get("label") in tuple(labels)
        for entry in entries.values()
    ):
        return None
    names = [record.path.removeprefix(file.folder) for record in records]
    if entries.keys().isdisjoint(names):
        return None
    if n_left := len(entries.keys() - set(names)):
        skipped[UNPAIRED] += n_left
    named = []
    for record, name in zip(records, names, strict=True):
        entry = entries.get(name)
        if entry is None:
            named.append(relabel(record, ""))
            continue
        original, split = (entry.get(key) for key in ("original", "split"))
        group = original if isinstance(original, str) and original else name
        part = official_part(split) if isinstance(split, str) else ""
        named.append(
            relabel(record, labels[str(entry["label"])], group, [(SPLIT, part)] * bool(part))
        )
    return NamedRecords(named)


def _check_size(file: LabelFile, content: bytes, most: int) -> None:
    if len(content) > most:
        raise RefusedFileError(
            f"{file.name} is read as a file of labels, but has more than {most} bytes. If it holds "
            "no labels, rename it"
        )


def _json_object(content: bytes) -> dict[str, dict[str, object]]:
    with suppress(ValueError, RecursionError):
        entries = json.loads(content)
        if isinstance(entries, dict):
            return entries
    return {}


def _of_test_list(
    records: Sequence[ImageRecord], file: LabelFile, content: bytes, skipped: Counter[str]
) -> NamedRecords | None:
    """Read ``List_of_testing_videos.txt``, with lines such as ``1 YouTube-real/00170.mp4``."""
    _check_size(file, content, MAX_LIST)
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    matches = [re.fullmatch(r"([01])\s+(\S.*)", line) for line in lines if line]
    label_of: dict[tuple[str, str], str] = {}
    for match in matches:
        if match is None:
            return None
        label, key = REAL if match[1] == "1" else FAKE, _video(match[2])
        if label_of.setdefault(key, label) != label:
            raise LabelError(
                f"{file.name} lists {match[2]} as real and as fake. Remove one of the two lines"
            )
    keys = [_video(record.path.removeprefix(file.folder)) for record in records]
    if label_of.keys().isdisjoint(keys):
        return None
    if n_left := len(label_of.keys() - set(keys)):
        skipped[UNPAIRED] += n_left
    named = []
    for record, key in zip(records, keys, strict=True):
        label = label_of.get(key, record.label)
        if record.label in {REAL, FAKE} and label != record.label:
            raise LabelError(
                f"{file.name} gives {record.path} the label {label!r}, but its folder gives "
                f"{record.label!r}. In this list, 1 means real. Correct the list"
            )
        split = "test" if key in label_of else "train"
        named.append(relabel(record, label, columns=[(SPLIT, split)]))
    return NamedRecords(named)


def _video(path: str) -> tuple[str, str]:
    """Return the first folder and the file name of a video, which may be in a subfolder."""
    parts = path.replace("\\", "/").split("/")
    return parts[0].lower(), parts[-1]


Reader = Callable[[Sequence[ImageRecord], LabelFile, bytes, Counter[str]], "NamedRecords | None"]

LABEL_FILES: Mapping[str, Reader] = {
    "labels.csv": _of_table,
    "labels.tsv": _of_table,
    "metadata.json": _of_metadata,
    "list_of_testing_videos.txt": _of_test_list,
}
"""For each file name, the function that labels records. It returns None if the file does not apply.
"""
