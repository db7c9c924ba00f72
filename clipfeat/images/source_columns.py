"""Columns of a source: those that hold labels and groups, and those with reserved names."""

import warnings
from dataclasses import replace

from clipfeat.errors import ClipfeatWarning, UsageError, unknown_name
from clipfeat.features.column_names import stored_names
from clipfeat.features.label_text import class_names, present
from clipfeat.images.manifest import TableColumns, plain_name
from clipfeat.images.source import ImageSource


def with_stored_names(source: ImageSource) -> ImageSource:
    """Rename the columns that have a reserved name. See `clipfeat.features.column_names`.

    Warns
    -----
    ClipfeatWarning
        If columns are renamed.
    """
    renamed = stored_names(_names(source))
    if not renamed:
        return source
    warnings.warn(
        f"{source.name} has columns with names that clipfeat uses itself. They are stored under "
        f"other names: {', '.join(f'{old} as {new}' for old, new in sorted(renamed.items()))}",
        ClipfeatWarning,
        stacklevel=3,
    )
    made: dict[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]] = {}
    records = []
    for record in source:
        if record.columns not in made:
            columns = [(renamed.get(name, name), value) for name, value in record.columns]
            made[record.columns] = tuple(sorted(columns))
        records.append(replace(record, columns=made[record.columns]))
    return replace(source, records=records)


def with_roles(source: ImageSource, names: TableColumns) -> ImageSource:
    """Take the labels and the groups from columns of a source that is not a table.

    Raises
    ------
    UnknownNameError
        If no record has the column.
    UsageError
        If a column of paths is given.
    """
    if names.path:
        raise UsageError(
            f"--path-col applies to tables, but {source.name} is not a table. Omit --path-col"
        )
    label, group = (
        _find(source, role, name) for role, name in (("label", names.label), ("group", names.group))
    )
    if not label and not group:
        return source
    of_label = [present(dict(record.columns).get(label, "")) for record in source]
    classes = class_names(set(of_label))
    records = []
    for record, text in zip(source, of_label, strict=True):
        value = present(dict(record.columns).get(group, ""))
        records.append(
            replace(
                record,
                label=classes[text] if label else record.label,
                group=value if group else record.group,
            )
        )
    return replace(source, records=records)


def _find(source: ImageSource, role: str, given: str) -> str:
    """Return the name of the source's column. It is empty for the label or group of the source."""
    is_set = any(record.label if role == "label" else record.group for record in source)
    if not given or (plain_name(given) == role and is_set):
        return ""
    known = _names(source)
    if given in known:
        return given
    alike = [name for name in sorted(known) if plain_name(name) == plain_name(given)]
    if len(alike) != 1:
        raise unknown_name(f"{role} column of {source.name}", given, sorted(known))
    return alike[0]


def _names(source: ImageSource) -> set[str]:
    return {name for columns in {record.columns for record in source} for name, _ in columns}
