"""An image source: somewhere that lists images, in a stable order, each once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clipfeat.errors import EmptySourceError, LabelError
from clipfeat.images.record import ImageRecord


@dataclass(frozen=True)
class ImageSource:
    """A listed source.

    Parameters
    ----------
    name : str
        How a person would name it, for messages.
    root : str
        The absolute folder to which the records' paths are relative.
    records : sequence of ImageRecord
        In a stable order, with unique paths.
    """

    name: str
    root: str
    records: Sequence[ImageRecord]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[ImageRecord]:
        return iter(self.records)


def listed(name: str, root: str, records: Sequence[ImageRecord]) -> ImageSource:
    """Make a source of what was found; a path that comes again is taken once.

    Paths are made text: bytes of a file's name that are not UTF-8 become escapes.

    Raises
    ------
    EmptySourceError
        If nothing was found.
    LabelError
        If a path comes again with another label.
    """
    unique: dict[str, ImageRecord] = {}
    for found in records:
        path = found.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        record = replace(found, path=path)
        earlier = unique.setdefault(path, record)
        if earlier.label != record.label:
            raise LabelError(
                f"{name} names {path} twice, as {earlier.label!r} and as {record.label!r}"
            )
    if not unique:
        raise EmptySourceError(f"no images in {name}")
    return ImageSource(name, root, list(unique.values()))


def relabelled(record: ImageRecord, label: str, group: str, more: dict[str, str]) -> ImageRecord:
    """The same image with what a table says of it; what the table leaves empty stays."""
    columns = {**dict(record.columns), **more}
    return replace(
        record,
        label=label or record.label,
        group=group or record.group,
        columns=tuple(sorted(columns.items())),
    )
