"""Tables of images: CSV, TSV or Parquet files with a column of paths.

The columns of labels and groups are recognised by their names, such as ``label`` and ``group``. All
other columns are kept as text.
"""

import io
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.errors import RefusedFileError, StorageError, UnknownNameError, unknown_name
from clipfeat.images.image_root import root_of_table
from clipfeat.images.readers import FileBytes, RemoteObject
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import as_url, is_remote, location

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
PATH_NAMES = ("path", "filepath", "file_path", "filename", "file_name", "file", "image", "id")
LABEL_NAMES = ("label", "class", "target", "y")
GROUP_NAMES = ("group",)


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table of images, as text.

    Parameters
    ----------
    path : str
        The image's path, as written in the table.
    label, group : str
        The values of the label column and of the group column. Empty if the table has no such
        column.
    columns : tuple of (name, value)
        The values of all other columns.
    """

    path: str
    label: str
    group: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TableColumns:
    """Names of the columns of paths, labels and groups.

    If a name is empty, the column is recognised by a usual name, such as ``label``.
    """

    path: str = ""
    label: str = ""
    group: str = ""


def is_table(spec: str) -> bool:
    """Return whether a source is an existing table."""
    return Path(spec).suffix.lower() in TABLE_SUFFIXES and location(spec).is_file()


def open_manifest(
    spec: str, names: TableColumns, image_root: str | Path | None = None
) -> ImageSource:
    """List the images of a table, in the order of its rows.

    Relative paths are relative to `image_root`. If it is None, `clipfeat.images.image_root` chooses
    the folder. Paths may be addresses that fsspec reads.

    Raises
    ------
    UsageError
        If `image_root` is not a folder.
    DataError
        If a path without a suffix stands for several files.
    UnknownNameError
        If a given column is not in the table, or if the path column is neither given nor recognised
        by a usual name.
    RefusedFileError
        If the file cannot be read as a table.
    """
    table, columns = read_table(spec, names)
    rows = [row for row in table_rows(table, columns) if row.path]
    folder = root_of_table(spec, [row.path for row in rows], image_root)
    records = []
    for row in rows:
        path = folder.find(row.path) or row.path
        reader = _reader(folder.root, path)
        records.append(ImageRecord(path, reader, row.label, row.group, row.columns))
    return make_source(f"the table {spec}", folder.root, records)


def _reader(root: str, path: str) -> FileBytes | RemoteObject:
    if is_remote(path):
        return RemoteObject(as_url(path))
    return RemoteObject(f"{root}/{path}") if is_remote(root) else FileBytes(str(Path(root) / path))


def read_text_table(spec: str) -> "pd.DataFrame":
    """Read a CSV, TSV or Parquet file as text.

    Numbers stay as they are written, such as the labels ``0`` and ``1``. Missing values become
    empty text.

    Raises
    ------
    RefusedFileError
        If the file cannot be read as a table.
    """
    import pandas as pd

    suffix = Path(spec).suffix.lower()
    try:
        with storage_errors(f"reading {spec}") if is_remote(spec) else nullcontext():
            content = io.BytesIO(location(spec).read_bytes())
        if suffix == ".parquet":
            table = pd.read_parquet(content).convert_dtypes()  # whole numbers stay whole
        else:
            separator = "\t" if suffix == ".tsv" else ","
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                table = pd.read_csv(
                    content, sep=separator, dtype=str, keep_default_na=False, index_col=False
                )
    except pd.errors.ParserWarning as error:
        raise RefusedFileError(
            f"{spec} has a row with more fields than its header. Correct that row"
        ) from error
    except StorageError:
        raise
    except (OSError, ValueError) as error:
        raise RefusedFileError(
            f"{spec} cannot be read as a table: {error}. Pass a CSV, TSV or Parquet file"
        ) from error
    return table.astype(object).where(table.notna(), "").astype(str)


def read_table(spec: str, names: TableColumns) -> tuple["pd.DataFrame", TableColumns]:
    """Read a table of images, and find its columns of paths, labels and groups."""
    table = read_text_table(spec)
    return table, TableColumns(
        path=_pick(table, spec, "path", names.path, PATH_NAMES),
        label=_pick(table, spec, "label", names.label, LABEL_NAMES),
        group=_pick(table, spec, "group", names.group, GROUP_NAMES),
    )


def _pick(table: "pd.DataFrame", spec: str, role: str, given: str, usual: tuple[str, ...]) -> str:
    """Return the given column, or else the first usual name that the table has, or else ""."""
    present = [str(name) for name in table.columns]
    if given and given not in present:
        raise unknown_name(f"{role} column of {spec}", given, present)
    column = given or next((name for name in usual if name in present), "")
    if role == "path" and not column:
        raise UnknownNameError(
            f"{spec} has no column of paths with a usual name (columns: {', '.join(present)}). "
            "Pass the column of paths with --path-col"
        )
    return column


def table_rows(table: "pd.DataFrame", names: TableColumns) -> list[TableRow]:
    """Split the rows of a table into paths, labels, groups and all other columns."""
    special = {names.path, names.label, names.group} - {""}
    others = [str(name) for name in table.columns if name not in special]
    blank = [""] * len(table)
    return [
        TableRow(path, label, group, tuple(zip(others, values, strict=True)))
        for path, label, group, *values in zip(
            table[names.path],
            table[names.label] if names.label else blank,
            table[names.group] if names.group else blank,
            *(table[name] for name in others),
            strict=True,
        )
    ]
