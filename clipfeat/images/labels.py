"""Labels from a separate table, paired with the images of a source.

`clipfeat.features.pairing` states the rule. Images that are not in the table are unlabelled.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from clipfeat.errors import LabelError
from clipfeat.features.label_text import class_names
from clipfeat.features.pairing import pair_names
from clipfeat.images.manifest import (
    TableColumns,
    TableRow,
    no_usual_column,
    read_table,
    table_rows,
)
from clipfeat.images.record import ImageRecord
from clipfeat.images.skipping import UNPAIRED
from clipfeat.images.source import ImageSource, check_agreement, relabel


def with_labels(source: ImageSource, table_path: str, names: TableColumns) -> ImageSource:
    """Give the images of a source the labels, groups and columns of a table.

    Labels of the source, such as the names of folders, are dropped. Rows without an image are
    counted in `ImageSource.skipped`.

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
    paths = [record.path for record in source]
    rows = table_rows(table, columns)
    skipped = Counter(source.skipped)
    records = label_records(
        source.name, source.records, paths, rows, table_path, columns.path, skipped
    )
    return replace(source, records=records, skipped=skipped)


def label_records(
    name: str,
    records: Sequence[ImageRecord],
    paths: Sequence[str],
    rows: Sequence[TableRow],
    table_path: str,
    column: str,
    skipped: Counter[str],
) -> list[ImageRecord]:
    """Give records the labels, groups and columns of a table's rows.

    Parameters
    ----------
    name : str
        Name of the source, for messages.
    records : sequence of ImageRecord
        The images. Their own labels are dropped.
    paths : sequence of str
        For each record, the path with which the names in the table are paired.
    rows : sequence of TableRow
        Rows of the table.
    table_path : str
        Name of the table, for messages.
    column : str
        Name of its column of paths, for messages.
    skipped : Counter
        Counts the rows without an image.

    Raises
    ------
    LabelError
        If no image is in the table. If two rows for one image differ in the label or group.
    DataError
        If several images have a name that is in the table.
    """
    indices = pair_names([row.path for row in rows], paths, table_path)
    classes = class_names({row.label for row in rows})
    unlabelled = [relabel(record, "") for record in records]
    first: dict[int, ImageRecord] = {}
    repeated = []
    for row, index in zip(rows, indices, strict=True):
        if index is None:
            continue
        record = relabel(unlabelled[index], classes[row.label], row.group, row.columns)
        if index in first:
            repeated.append((first[index], record))
        first.setdefault(index, record)
    check_agreement(table_path, repeated)
    if not first:
        example = rows[0].path if rows else ""
        raise LabelError(
            f"no image of {name} is in {table_path}. The paths of the images look like "
            f"{paths[0]!r}, but those in the column {column!r} look like {example!r}. Pass the "
            "name of another column with --path-col"
        )
    if n_unpaired := indices.count(None):
        skipped[UNPAIRED] += n_unpaired
    return [first.get(i, record) for i, record in enumerate(unlabelled)]
