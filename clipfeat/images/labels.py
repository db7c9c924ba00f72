"""Labels that come in a table of their own, matched to a source's images."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TypeVar

from clipfeat.errors import LabelError
from clipfeat.images.manifest import TableColumns, read_table, table_rows
from clipfeat.images.source import ImageSource, relabelled

T = TypeVar("T")


def match_names(paths: Sequence[str], rows: dict[str, T]) -> list[T | None]:
    """Find each image's row: by its path, else by its file name, else by its stem.

    A name or stem that two images share matches neither.

    Examples
    --------
    >>> match_names(["a/1.png", "b/2.png", "a/2.png"], {"1": "one", "2": "two", "b/2.png": "x"})
    ['one', 'x', None]
    """
    ways = [
        list(paths),
        [PurePosixPath(p).name for p in paths],
        [PurePosixPath(p).stem for p in paths],
    ]
    counts = [Counter(names) for names in ways]
    found: list[T | None] = []
    for candidates in zip(*ways, strict=True):
        usable = (n for n, count in zip(candidates, counts, strict=True) if count[n] == 1)
        found.append(next((rows[name] for name in usable if name in rows), None))
    return found


def with_labels(source: ImageSource, table_path: str, names: TableColumns) -> ImageSource:
    """Give a source's images the labels, groups and columns of a table.

    Raises
    ------
    LabelError
        If no image is in the table.
    """
    table, columns = read_table(table_path, names)
    rows = {row.path: row for row in table_rows(table, columns)}
    matched = match_names([record.path for record in source], rows)
    if not any(matched):
        raise LabelError(
            f"no image of {source.name} is in {table_path}: images look like "
            f"{source.records[0].path!r}, the table's column {columns.path!r} like "
            f"{next(iter(rows), 'nothing')!r}"
        )
    records = [
        record if row is None else relabelled(record, row.label, row.group, dict(row.columns))
        for record, row in zip(source, matched, strict=True)
    ]
    return ImageSource(source.name, source.root, records)
