"""Labels from a separate table, paired with the images of a source.

`clipfeat.features.pairing` states how the names in a table are paired with images. Images that are
not in the table are unlabelled, unless it is a table of decisions.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clipfeat.errors import LabelError
from clipfeat.features.label_text import class_names
from clipfeat.features.pairing import how_to_pair, pair_names
from clipfeat.features.text_tables import has_decisions
from clipfeat.images.manifest import (
    TableColumns,
    TableRow,
    no_usual_column,
    read_table,
    table_rows,
)
from clipfeat.images.record import ImageRecord
from clipfeat.images.skipping import UNPAIRED
from clipfeat.images.source import (
    ImageSource,
    check_agreement,
    relabel,
    warn_of_shortened,
)
from clipfeat.system.escaping import storable_columns
from clipfeat.system.locations import folder_of, is_remote


def with_labels(source: ImageSource, table_path: str, names: TableColumns) -> ImageSource:
    """Give the images of a source the labels, groups and columns of a table.

    Labels of the source, such as the names of folders, are dropped. If the table is a table of
    decisions, images without a decision keep their labels. Rows without an image are counted in
    `ImageSource.skipped`.

    Raises
    ------
    UnknownNameError
        If the label column is neither given nor recognised by a usual name.
    LabelError
        If no image is in the table. If two rows for one image differ in the label or group.
    DataError
        If a name in the table matches several images.
    """
    table, columns = read_table(table_path, names)
    if not columns.label:
        raise no_usual_column(table_path, "label", table.columns.tolist())
    paths = [record.path for record in source]
    rows = _below_root(table_rows(table, columns), paths, table_path, source.root)
    skipped = Counter(source.skipped)
    records = label_records(
        source.name, source.records, paths, rows, table_path, columns.path, skipped,
        keeps_others=has_decisions(table),
    )  # fmt: skip
    return replace(source, records=records, skipped=skipped)


def _below_root(
    rows: Sequence[TableRow], paths: Sequence[str], table_path: str, root: str
) -> Sequence[TableRow]:
    """Make the paths in a table relative to the root of a source, unless they match already.

    The table may have absolute paths, or paths relative to its own folder or to the current
    directory.
    """
    names = [row.path for row in rows]
    if not set(paths).isdisjoint(names):
        return rows
    if any(index is not None for index in pair_names(names, paths, table_path)):
        return rows
    for folder in (folder_of(table_path), str(Path.cwd())):
        if is_remote(folder) or is_remote(root) or not root:
            continue
        moved = [
            name and os.path.relpath(os.path.join(folder, name.strip()), root)  # noqa: PTH118
            for name in names
        ]
        if set(moved) & set(paths):
            return [replace(row, path=name) for row, name in zip(rows, moved, strict=True)]
    return rows


def label_records(
    name: str,
    records: Sequence[ImageRecord],
    paths: Sequence[str],
    rows: Sequence[TableRow],
    table_path: str,
    column: str,
    skipped: Counter[str],
    *,
    keeps_others: bool = False,
) -> list[ImageRecord]:
    """Give records the labels, groups and columns of a table's rows.

    Parameters
    ----------
    name : str
        Name of the source, for messages.
    records : sequence of ImageRecord
        The images.
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
    keeps_others : bool
        Whether images that the table does not name keep their label. If false, it is dropped.

    Raises
    ------
    LabelError
        If no image is in the table. If two rows for one image differ in the label or group.
    DataError
        If a name in the table matches several images.
    """
    indices = pair_names([row.path for row in rows], paths, table_path)
    classes = class_names({row.label for row in rows})
    unlabelled = [relabel(record, "") for record in records]
    first: dict[int, ImageRecord] = {}
    repeated = []
    shortened: Counter[str] = Counter()
    for row, index in zip(rows, indices, strict=True):
        if index is None:
            continue
        columns = storable_columns(row.columns, shortened)
        record = relabel(unlabelled[index], classes[row.label], row.group, columns)
        if index in first:
            repeated.append((first[index], record))
        first.setdefault(index, record)
    check_agreement(table_path, repeated)
    warn_of_shortened(table_path, shortened)
    if not first:
        example = rows[0].path if rows else ""
        usual = "Write the paths like those of the images, or pass another column with --path-col"
        remedy = how_to_pair(example, paths) or usual
        raise LabelError(
            f"no image of {name} is in {table_path}. The paths of the images look like "
            f"{paths[0]!r}, but those in the column {column!r} look like {example!r}. "
            f"{remedy}"
        )
    if n_unpaired := indices.count(None):
        skipped[UNPAIRED] += n_unpaired
    others = records if keeps_others else unlabelled
    return [first.get(i, record) for i, record in enumerate(others)]
