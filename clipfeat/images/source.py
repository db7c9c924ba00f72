"""An image source: somewhere that lists images, in a stable order, each once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clipfeat.errors import EmptySourceError
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
    """Make a source of what was found, dropping repeated paths.

    Raises
    ------
    EmptySourceError
        If nothing was found.
    """
    unique = list({record.path: record for record in reversed(records)}.values())[::-1]
    if not unique:
        raise EmptySourceError(f"no images in {name}")
    return ImageSource(name, root, unique)


def relabelled(record: ImageRecord, label: str, group: str, more: dict[str, str]) -> ImageRecord:
    """The same image with what a table says of it; what the table leaves empty stays."""
    columns = {**dict(record.columns), **more}
    return replace(
        record,
        label=label or record.label,
        group=group or record.group,
        columns=tuple(sorted(columns.items())),
    )
