"""Labels that come in a table of their own, matched to a source's images."""

from collections import Counter
from pathlib import PurePosixPath

from clipfeat.errors import LabelError
from clipfeat.images.manifest import TableColumns, read_table, table_rows
from clipfeat.images.source import ImageSource, relabelled


def with_labels(source: ImageSource, table_path: str, names: TableColumns) -> ImageSource:
    """Give a source's images the labels, groups and columns of a table.

    A row names an image by its path, else by its file name, else by its stem (competitions' ids):
    whichever matches first for the whole table's rows one by one. Names that two images share are
    never matched.

    Raises
    ------
    LabelError
        If no image is in the table.
    """
    table, columns = read_table(table_path, names)
    rows = {row.path: row for row in table_rows(table, columns)}
    exact = [record.path for record in source]
    lookups = [exact, [PurePosixPath(p).name for p in exact], [PurePosixPath(p).stem for p in exact]]
    once = [{name for name, n in Counter(names_).items() if n == 1} for names_ in lookups]
    records = []
    matched = 0
    for record, *candidates in zip(source, *lookups, strict=True):
        row = next(
            (rows[name] for name, unique in zip(candidates, once, strict=True)
             if name in rows and name in unique), None,
        )  # fmt: skip
        matched += row is not None
        records.append(
            record if row is None else relabelled(record, row.label, row.group, dict(row.columns))
        )
    if not matched:
        example, listed = exact[0], next(iter(rows), "nothing")
        raise LabelError(
            f"no image of {source.name} is in {table_path}: images look like {example!r}, the "
            f"table's column {columns.path!r} like {listed!r}"
        )
    return ImageSource(source.name, source.root, records)
