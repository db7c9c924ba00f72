"""Image sources: lists of records with unique paths, in a stable order."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from clipfeat.errors import (
    ClipfeatWarning,
    EmptySourceError,
    LabelError,
    StorageError,
)
from clipfeat.features.label_text import class_names
from clipfeat.features.official_parts import SPLIT
from clipfeat.images.packed_records import field_values, pack_records
from clipfeat.images.record import ImageRecord
from clipfeat.images.skipping import WITHOUT_PATH, skipped_text
from clipfeat.system.escaping import (
    MAX_COLUMN_TEXT,
    MAX_IMAGE_TEXT,
    escape_unstorable,
    storable,
    storable_columns,
)
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import is_remote

MAX_SHARED = 2**16
"""Maximum number of different texts that are stored once for several records."""


@dataclass(frozen=True)
class ImageSource:
    """An image source whose images are listed, but not yet read.

    Parameters
    ----------
    name : str
        Name of the source in messages.
    root : str
        Absolute path of the folder to which the paths of the records are relative.
    records : sequence of ImageRecord
        Records with unique paths, in a stable order.
    skipped : mapping of str to int
        Number of files that are not images, by kind. See `clipfeat.images.skipping`.
    places : tuple of str
        Absolute paths of the local folders and archives that were listed. If one disappears while
        the images are read, the run ends with an error.
    listed : tuple of str
        The path in each row of the list or table, in order, with repetitions. Empty text for a row
        without a path. If each record is listed once, `listed` is an empty tuple.
    kind : str
        Kind of the source: a key of `clipfeat.images.SOURCES`, such as ``"folder"``. Empty for
        sources of several kinds.
    layout : str
        Name of the recognised layout of folders, which gives the labels and columns. See
        `clipfeat.images.layouts`. Empty if labels and columns do not come from folders.
    notes : tuple of str
        Values from the layout that may be wrong, and the options that correct them.
    """

    name: str
    root: str
    records: Sequence[ImageRecord]
    skipped: Mapping[str, int] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    kind: str = ""
    layout: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[ImageRecord]:
        return iter(self.records)

    @property
    def rows(self) -> tuple[str, ...]:
        """The path in each row of the list or table, in order."""
        return self.listed or tuple(record.path for record in self.records)

    def check_places(self) -> None:
        """Check that the listed folders and archives are still there.

        Raises
        ------
        StorageError
            If one of `places` has disappeared.
        """
        for place in self.places:
            check_place(place)

    def place_of(self, path: str) -> str:
        """Return the local folder or archive that contains an image, or an empty string."""
        if not self.root or is_remote(self.root) or is_remote(path):
            return ""
        above = Path(self.root, path).parents
        archives = (Path(self.root, path.rpartition("#")[0]), *above)
        return str(next((archive for archive in archives if archive.is_file()), above[0]))


def check_place(place: str) -> None:
    """Check that a local folder or archive, in which images were listed before, is still there.

    An empty folder counts as missing, because an unmounted file system leaves an empty folder.

    Raises
    ------
    StorageError
        If it does not exist, cannot be listed, or is an empty folder.
    """
    path = Path(place)
    with storage_errors(f"listing {place}"):
        is_there = next(path.iterdir(), None) is not None if path.is_dir() else path.is_file()
    if not is_there:
        raise StorageError(
            f"{place}, which contained images, does not exist or is empty now. Committed rows are "
            "kept. Restore or mount it, then repeat the command"
        )


def make_source(
    name: str,
    root: str,
    records: Sequence[ImageRecord],
    *,
    skipped: Mapping[str, int] | None = None,
    places: tuple[str, ...] = (),
) -> ImageSource:
    """Make a source from records.

    Records with the same path become one record, and records without a path are skipped.
    Bytes of a file name that are not UTF-8 become escapes in the path. A run keeps all records in
    memory, so equal labels, groups and columns are stored only once, and many records are packed.
    See `clipfeat.images.packed_records`.

    Raises
    ------
    EmptySourceError
        If there is no record.
    LabelError
        If two records with the same path have different labels, groups or splits.
    RefusedFileError
        If a label or group is too long for a feature file.

    Warns
    -----
    ClipfeatWarning
        If records with the same path differ in other columns (the values of the first record are
        kept), or if values of other columns are too long (they are shortened).
    """
    classes = class_names(set(field_values(records, "label")))
    shortened: Counter[str] = Counter()
    passed = Counter(skipped or {})
    storable_records = _storable(records, classes, shortened)
    listed: list[str] = []
    if not _have_different_paths(records):
        unique: dict[str, ImageRecord] = {}
        check_agreement(name, _repeated(storable_records, unique, listed))
        if n_blank := listed.count(""):
            passed[WITHOUT_PATH] += n_blank
        storable_records = (record for record in unique.values())
    stored = pack_records(storable_records)
    if not stored:
        text = f" ({skipped_text(passed)})" if passed else ""
        raise EmptySourceError(f"there are no images in {name}{text}. Check the path")
    warn_of_shortened(name, shortened)
    rows = tuple(listed) if len(listed) > len(stored) else ()
    return ImageSource(name, root, stored, passed, places, rows)


def _repeated(
    records: Iterable[ImageRecord], unique: dict[str, ImageRecord], listed: list[str]
) -> Iterator[tuple[ImageRecord, ImageRecord]]:
    """Yield each repeated record after the first record of its path. Fill `unique` and `listed`."""
    for record in records:
        if not record.path:
            listed.append("")
            continue
        earlier = unique.setdefault(record.path, record)
        listed.append(earlier.path)
        if earlier is not record:
            yield earlier, record


def _have_different_paths(records: Sequence[ImageRecord]) -> bool:
    """Return whether all paths differ and none is empty.

    If two hashes collide, which is unlikely, the result is False although the paths differ.
    """
    paths = map(_storable_path, field_values(records, "path"))
    hashes = np.fromiter(map(hash, paths), dtype=np.int64)
    hashes.sort()
    is_blank = bool((hashes == hash("")).any())
    return not is_blank and bool((hashes[1:] != hashes[:-1]).all())


def _storable(
    records: Iterable[ImageRecord], classes: Mapping[str, str], shortened: Counter[str]
) -> Iterator[ImageRecord]:
    """Yield records whose texts a feature file can store, with equal values stored once."""
    of_label = lru_cache(MAX_SHARED)(lambda label: storable(classes[label]))
    of_group = lru_cache(MAX_SHARED)(storable)
    shared: dict[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]] = {}
    for raw in records:
        columns = raw.columns and storable_columns(raw.columns, shortened)
        if len(shared) > MAX_SHARED:
            shared.clear()
        yield ImageRecord(
            _storable_path(raw.path),
            raw.reader,
            of_label(raw.label),
            of_group(raw.group),
            shared.setdefault(columns, columns),
            raw.view,
        )


def _storable_path(path: str) -> str:
    """Return a path that a feature file can store. The end of a long path becomes its hash."""
    if not path.isascii():
        path = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    path = escape_unstorable(path)
    if len(path) > MAX_IMAGE_TEXT // 4 and len(data := path.encode()) > MAX_IMAGE_TEXT:
        path = f"{path[:200]}…{hashlib.blake2b(data, digest_size=16).hexdigest()}"
    return path


def check_agreement(name: str, pairs: Iterable[tuple[ImageRecord, ImageRecord]]) -> None:
    """Check that two entries for the same image agree.

    Parameters
    ----------
    name : str
        Name of the source or table, for messages.
    pairs : iterable of (ImageRecord, ImageRecord)
        The first entry of an image, and a later one.

    Raises
    ------
    LabelError
        If the labels, groups or splits of a pair differ.

    Warns
    -----
    ClipfeatWarning
        If other columns differ.
    """
    differing: Counter[str] = Counter()
    for first, later in pairs:
        if (first.label, first.group, first.columns) == (later.label, later.group, later.columns):
            continue
        columns = dict(first.columns), dict(later.columns)
        values = {
            "labels": (first.label, later.label),
            "groups": (first.group, later.group),
            "splits": (columns[0].get(SPLIT, ""), columns[1].get(SPLIT, "")),
        }
        for what, (one, other) in values.items():
            if one != other:
                raise LabelError(
                    f"{name} lists {first.path} twice, with the {what} {one!r} and {other!r}. "
                    "Remove one of the two entries"
                )
        differing.update(
            column
            for column in columns[0].keys() | columns[1].keys()
            if columns[0].get(column, "") != columns[1].get(column, "")
        )
    if differing:
        warnings.warn(
            f"{name} lists some images several times with different values (columns: "
            f"{', '.join(sorted(differing))}). The values of the first entry are kept",
            ClipfeatWarning,
            stacklevel=3,
        )


def warn_of_shortened(name: str, shortened: Mapping[str, int]) -> None:
    """Warn that values of columns are too long for a feature file, and were shortened.

    Parameters
    ----------
    name : str
        Name of the source or table.
    shortened : mapping of str to int
        Number of shortened values of each column.
    """
    if any(shortened.values()):
        counts = ", ".join(f"{n} in column {column!r}" for column, n in shortened.items())
        warnings.warn(
            f"{name} has texts of more than {MAX_COLUMN_TEXT} bytes, which are shortened: {counts}",
            ClipfeatWarning,
            stacklevel=3,
        )


def relabel(
    record: ImageRecord, label: str, group: str = "", columns: Iterable[tuple[str, str]] = ()
) -> ImageRecord:
    """Return a record with the label and other values of a table's row.

    The label replaces that of the record even if it is empty. An empty group is ignored.

    Raises
    ------
    RefusedFileError
        If the label or the group is too long for a feature file.
    """
    joined = {**dict(record.columns), **dict(columns)}
    return replace(
        record,
        label=storable(label),
        group=storable(group) or record.group,
        columns=tuple(sorted(joined.items())),
    )
