"""Image sources: lists of records with unique paths, in a stable order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clipfeat.errors import EmptySourceError, LabelError, RefusedFileError, StorageError
from clipfeat.images.record import ImageRecord
from clipfeat.images.skipping import skipped_text
from clipfeat.system.escaping import MAX_COLUMNS, storable
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import is_remote


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
    """

    name: str
    root: str
    records: Sequence[ImageRecord]
    skipped: Mapping[str, int] = field(default_factory=dict)
    places: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[ImageRecord]:
        return iter(self.records)

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
        """Return the local folder or archive of the image with a path, or an empty string."""
        return "" if is_remote(self.root) or is_remote(path) else str(Path(self.root, path).parent)


def check_place(place: str) -> None:
    """Check that a local folder or archive, in which images were listed before, is still there.

    A file system that is not mounted leaves an empty folder.

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
    """Make a source of records. If several records have the same path, keep the first.

    Bytes of a file name that are not UTF-8 become escapes in the path. A run keeps all records in
    memory, so equal labels, groups and columns are stored only once.

    Raises
    ------
    EmptySourceError
        If there is no record.
    LabelError
        If two records with the same path have different labels.
    RefusedFileError
        If a feature file cannot store a text, because it is too long, or all of the columns.
    """
    shared: dict[Any, Any] = {}
    unique: dict[str, ImageRecord] = {}
    for listed in records:
        path = listed.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        label, group = storable(listed.label), storable(listed.group)
        columns = tuple((storable(name), storable(value)) for name, value in listed.columns)
        record = replace(
            listed,
            path=storable(path),
            label=shared.setdefault(label, label),
            group=shared.setdefault(group, group),
            columns=shared.setdefault(columns, columns),
        )
        earlier = unique.setdefault(record.path, record)
        if earlier.label != record.label:
            raise LabelError(
                f"{name} lists {path} twice, with the labels {earlier.label!r} and "
                f"{record.label!r}. Remove one of the two entries"
            )
    if not unique:
        passed = f" ({skipped_text(skipped)})" if skipped else ""
        raise EmptySourceError(f"there are no images in {name}{passed}. Check the path")
    names = {name for columns in shared if isinstance(columns, tuple) for name, _ in columns}
    if len(names) > MAX_COLUMNS:
        raise RefusedFileError(
            f"{name} has {len(names)} columns, but a feature file stores at most {MAX_COLUMNS}. "
            "Remove columns from the source"
        )
    return ImageSource(name, root, list(unique.values()), skipped or {}, places)


def relabel(record: ImageRecord, label: str, group: str, columns: dict[str, str]) -> ImageRecord:
    """Return a record with the values of a table's row. An empty label or group changes nothing."""
    joined = {**dict(record.columns), **columns}
    return replace(
        record,
        label=label or record.label,
        group=group or record.group,
        columns=tuple(sorted(joined.items())),
    )
