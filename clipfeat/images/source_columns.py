"""Columns of a source: those that hold labels and groups, and those with reserved names."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

from clipfeat.errors import (
    ClipfeatWarning,
    RefusedFileError,
    UnknownNameError,
    UsageError,
    unknown_name,
)
from clipfeat.features.column_names import OWN_COLUMNS, stored_names
from clipfeat.features.label_text import class_names, present
from clipfeat.features.usual_names import GROUP_NAMES, LABEL_NAMES, plain_name
from clipfeat.images.manifest import TableColumns
from clipfeat.images.packed_records import field_values
from clipfeat.images.source import ImageSource
from clipfeat.system.escaping import MAX_COLUMNS


def with_stored_names(source: ImageSource) -> ImageSource:
    """Rename the columns that have a reserved name. See `clipfeat.features.column_names`.

    Raises
    ------
    RefusedFileError
        If there are more columns than a feature file can store.

    Warns
    -----
    ClipfeatWarning
        If columns are renamed.
    """
    names = _names(source)
    most = MAX_COLUMNS - len(OWN_COLUMNS)
    if len(names) > most:
        raise RefusedFileError(
            f"{source.name} has {len(names)} columns, but a feature file stores at most {most}. "
            "Remove columns from the source"
        )
    renamed = stored_names(names)
    if not renamed:
        return source
    listed = ", ".join(f"{old or '(no name)'} as {new}" for old, new in sorted(renamed.items()))
    warnings.warn(
        f"{source.name} has columns with names that clipfeat uses itself. They are stored under "
        f"other names: {listed}",
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


def with_roles(
    source: ImageSource, names: TableColumns, *, by_usual_names: bool = True
) -> ImageSource:
    """Take the labels and the groups from columns of a source that is not a table.

    If the source has no labels and no label column is given, a column with a usual name is used, as
    in a table. The same holds for groups. Without `by_usual_names`, only given columns are used,
    because the source has already looked for usual names.

    Raises
    ------
    UnknownNameError
        If no record has a given column, or if the names of several columns match.
    UsageError
        If a column of paths is given.
    """
    if names.path:
        raise UsageError(
            f"--path-col applies to tables, but {source.name} is not a table. Omit --path-col"
        )
    has_labels = any(field_values(source.records, "label")) or not by_usual_names
    has_groups = any(field_values(source.records, "group")) or not by_usual_names
    label = _find(source, "label", names.label, () if has_labels else LABEL_NAMES)
    group = _find(source, "group", names.group, () if has_groups else GROUP_NAMES)
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


def _find(source: ImageSource, role: str, given: str, usual: Sequence[str]) -> str:
    """Return the column for a role. Return an empty text to keep the source's labels or groups.

    Parameters
    ----------
    source : ImageSource
        The source.
    role : {"label", "group"}
        Role of the column.
    given : str
        Name of the column. It may be empty.
    usual : sequence of str
        Usual names of the column. Empty if the source has labels or groups.
    """
    known = _names(source)
    if given in known:
        return given
    if plain_name(given) == role and not usual:
        return ""
    for wanted in (plain_name(given),) if given else usual:
        alike = [name for name in sorted(known) if plain_name(name) == wanted]
        if len(alike) == 1:
            return alike[0]
        if alike:
            raise UnknownNameError(
                f"{source.name} has several {role} columns: {', '.join(alike)}. Pass one of them "
                f"with --{role}-col"
            )
    if given:
        raise unknown_name(f"{role} column of {source.name}", given, sorted(known))
    return ""


def _names(source: ImageSource) -> set[str]:
    return {name for columns in set(field_values(source.records, "columns")) for name, _ in columns}
