"""Labels from a separate table, paired with the images of a source.

`clipfeat.images.pairing` states the rule. Images that are not in the table are unlabelled.
"""

from collections.abc import Sequence
from dataclasses import replace

from clipfeat.errors import LabelError
from clipfeat.features.label_text import class_names
from clipfeat.images.manifest import (
    TableColumns,
    TableRow,
    no_usual_column,
    read_table,
    table_rows,
)
from clipfeat.images.pairing import pair_names
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, check_agreement, relabel


def with_labels(source: ImageSource, table_path: str, names: TableColumns) -> ImageSource:
    """Give the images of a source the labels, groups and columns of a table.

    Labels of the source, such as the names of folders, are dropped.

    Raises
    ------
    UnknownNameError
        If the label column is neither given nor recognised by a usual name.
    LabelError
        If no image is in the table. If two rows for one image differ in the label or group.
    DataError
        If several images have a name that is in the table.
    """
    table, columns = read_table(table_path, names)
    if not columns.label:
        raise no_usual_column(table_path, "label", table.columns.tolist())
    rows = table_rows(table, columns)
    indices = pair_names([row.path for row in rows], [record.path for record in source], table_path)
    classes = class_names({row.label for row in rows})
    records = [relabel(record, "") for record in source]
    first: dict[int, ImageRecord] = {}
    repeated = []
    for row, index in zip(rows, indices, strict=True):
        if index is None:
            continue
        record = relabel(records[index], classes[row.label], row.group, row.columns)
        if index in first:
            repeated.append((first[index], record))
        first.setdefault(index, record)
    check_agreement(table_path, repeated)
    if not first:
        raise LabelError(
            f"no image of {source.name} is in {table_path}. The paths of the images look like "
            f"{source.records[0].path!r}, but those in the column {columns.path!r} look "
            f"like {_first_path(rows)!r}. Pass the name of another column with --path-col"
        )
    return replace(source, records=[first.get(i, record) for i, record in enumerate(records)])


def _first_path(rows: Sequence[TableRow]) -> str:
    return next((row.path for row in rows), "")
