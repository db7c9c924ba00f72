"""Listed image sources: each image once, in a stable order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clipfeat.errors import EmptySourceError, LabelError
from clipfeat.images.record import ImageRecord


@dataclass(frozen=True)
class ImageSource:
    """A listed source.

    Parameters
    ----------
    name : str
        Name of the source for messages.
    root : str
        Absolute folder that the records' paths are relative to.
    records : sequence of ImageRecord
        Records with unique paths, in a stable order.
    """

    name: str
    root: str
    records: Sequence[ImageRecord]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[ImageRecord]:
        return iter(self.records)


def make_source(name: str, root: str, records: Sequence[ImageRecord]) -> ImageSource:
    """Make a source of records, without repeated paths.

    Bytes of a file name that are not UTF-8 become escapes in the path. Records share equal labels,
    groups and columns, which saves memory: a run keeps all records.

    Raises
    ------
    EmptySourceError
        If there is no record.
    LabelError
        If one path has two labels.
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
                f"{record.label!r}. Remove one of them"
            )
    if not unique:
        raise EmptySourceError(f"no images in {name}")
    return ImageSource(name, root, list(unique.values()))


def relabel(record: ImageRecord, label: str, group: str, columns: dict[str, str]) -> ImageRecord:
    """Replace a record's label, group and columns by those of a table that are not empty."""
    joined = {**dict(record.columns), **columns}
    return replace(
        record,
        label=label or record.label,
        group=group or record.group,
        columns=tuple(sorted(joined.items())),
    )
