"""Labels from a separate table, matched to the images of a source."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeVar

from clipfeat.errors import LabelError
from clipfeat.images.manifest import TableColumns, read_table, table_rows
from clipfeat.images.source import ImageSource, relabel

T = TypeVar("T")


def match_names(paths: Sequence[str], rows: dict[str, T]) -> list[T | None]:
    """Match each image to a row by its path, or else by its file name, or else by its stem.

    The stem is the file name without its suffix. A file name or stem that several images share
    matches none of them.

    Examples
    --------
    >>> match_names(["a/1.png", "b/2.png", "a/2.png"], {"1": "one", "2": "two", "b/2.png": "x"})
    ['one', 'x', None]
    """
    levels = [
        list(paths),
        [PurePosixPath(p).name for p in paths],
        [PurePosixPath(p).stem for p in paths],
    ]
    counts = [Counter(names) for names in levels]
    matches: list[T | None] = []
    for names in zip(*levels, strict=True):
        unique = (n for n, count in zip(names, counts, strict=True) if count[n] == 1)
        matches.append(next((rows[name] for name in unique if name in rows), None))
    return matches


def with_labels(source: ImageSource, table_path: str, names: TableColumns) -> ImageSource:
    """Give the images of a source the labels, groups and columns of a table.

    Raises
    ------
    LabelError
        If no image is in the table.
    """
    table, columns = read_table(table_path, names)
    rows = {row.path: row for row in table_rows(table, columns)}
    matches = match_names([record.path for record in source], rows)
    if not any(matches):
        raise LabelError(
            f"no image of {source.name} is in {table_path}. The paths of the images look like "
            f"{source.records[0].path!r}, but those in the column {columns.path!r} look "
            f"like {next(iter(rows), '')!r}. Pass the name of another column with --path-col"
        )
    records = [
        record if row is None else relabel(record, row.label, row.group, dict(row.columns))
        for record, row in zip(source, matches, strict=True)
    ]
    return replace(source, records=records)
