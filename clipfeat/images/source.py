"""Image sources: lists of records with unique paths, in a stable order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clipfeat.errors import EmptySourceError, LabelError
from clipfeat.images.record import ImageRecord
from clipfeat.images.skipping import skipped_text


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
    """
    shared: dict[Any, Any] = {}
    unique: dict[str, ImageRecord] = {}
    for listed in records:
        path = listed.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        record = replace(
            listed,
            path=path,
            label=shared.setdefault(listed.label, listed.label),
            group=shared.setdefault(listed.group, listed.group),
            columns=shared.setdefault(listed.columns, listed.columns),
        )
        earlier = unique.setdefault(path, record)
        if earlier.label != record.label:
            raise LabelError(
                f"{name} lists {path} twice, with the labels {earlier.label!r} and "
                f"{record.label!r}. Remove one of the two entries"
            )
    if not unique:
        passed = f" ({skipped_text(skipped)})" if skipped else ""
        raise EmptySourceError(f"there are no images in {name}{passed}. Check the path")
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
