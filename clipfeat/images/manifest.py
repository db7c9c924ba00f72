"""Tables of images: CSV, TSV or Parquet files with a column of paths.

The columns of paths, labels and groups are recognised by usual names, such as ``label``. Capitals,
spaces, hyphens and underscores are ignored. All other columns are kept as text under their own
names. `clipfeat.features.text_tables` reads CSV and TSV files.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.errors import (
    ClipfeatWarning,
    EmptySourceError,
    RefusedFileError,
    StorageError,
    UnknownNameError,
    unknown_name,
)
from clipfeat.features.label_text import present
from clipfeat.features.official_parts import SPLIT
from clipfeat.features.text_tables import as_text, not_a_table, text_table
from clipfeat.features.usual_names import (
    GROUP_NAMES,
    LABEL_NAMES,
    PATH_NAMES,
    plain_name,
    usual_columns,
)
from clipfeat.images.image_root import ImageRoot, root_of_table
from clipfeat.images.member_names import joined_path
from clipfeat.images.packed_records import field_values, pack_records
from clipfeat.images.parquet_cells import ParquetShard
from clipfeat.images.parquet_sizes import check_parquet_size
from clipfeat.images.parquet_types import plain_columns
from clipfeat.images.readers import FileBytes, RemoteObject, whole_file
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.images.table_paths import check_table_paths
from clipfeat.system.files import read_regular
from clipfeat.system.locations import WEB, as_url, is_remote, location

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
ROWS = 2**16
"""Number of rows that are converted to Python objects at a time."""
MAX_CACHED = 2**12
"""Maximum number of distinct labels and groups in the cache of converted values."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table of images, as text.

    Parameters
    ----------
    path : str
        The image's path, as written in the table.
    label, group : str
        The values of the label column and of the group column. Empty if the value is missing, or
        if the table has no such column.
    columns : tuple of (name, value)
        The values of all other columns. A column of labels or groups is also kept here, unless it
        is named ``label`` or ``group``. It can therefore be selected by its own name later.
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
    spec: str,
    names: TableColumns,
    image_root: str | Path | None = None,
    *,
    allow_remote: bool = False,
) -> ImageSource:
    """List the images of a table, in the order of its rows.

    `clipfeat.images.image_root` chooses the folder of relative paths.
    `clipfeat.images.table_paths` states which files and addresses a table may name.

    Raises
    ------
    UsageError
        If `image_root` is not a folder. If the table names a file or an address that it may not
        name.
    DataError
        If a path without a suffix matches several files.
    UnknownNameError
        If a given column is not in the table, or if the path column is neither given nor recognised
        by a usual name.
    RefusedFileError
        If the file cannot be read as a table.
    """
    table, columns = read_table(spec, names)
    warn_of_unlabelled(spec, columns, table.columns.tolist())
    folder = root_of_table(spec, _WrittenPaths(table[columns.path]), image_root)
    records = pack_records(_records(table, columns, folder))
    paths = partial(field_values, records, "path")
    check_table_paths(spec, paths(), folder.root, image_root=image_root, allow_remote=allow_remote)
    if len({host for path in paths() if (host := _host(folder.root, path))}) > 1:
        records = pack_records(map(_of_several_hosts, records))
    return make_source(f"the table {spec}", folder.root, records)


def warn_of_unlabelled(spec: str, columns: TableColumns, names: Sequence[str]) -> None:
    """Warn if a table has no column of labels, but has columns of unknown meaning."""
    known = {columns.path, columns.group, SPLIT}
    if not columns.label and any(name not in known for name in names):
        warnings.warn(
            f"{spec} has no column of labels with a usual name (columns: {', '.join(names)}), so "
            "its images are unlabelled. Pass the column of labels with --label-col",
            ClipfeatWarning,
            stacklevel=3,
        )


def _listed_path(folder: ImageRoot, text: str) -> str:
    """Return the path or address in a row. Outer spaces are kept only if a file's name has them."""
    name = text.strip()
    if name != text and not is_remote(folder.root):
        name = text if Path(folder.root, text).is_file() else name
    return name and (folder.find(name) or as_url(name))


class _WrittenPaths:
    """Iterable of the paths in a table, with and without outer spaces, with few repetitions.

    Parameters
    ----------
    column : pandas.Series
        The column of paths.
    """

    def __init__(self, column: "pd.Series[str]") -> None:
        self._column = column

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self._column), ROWS):
            for text in dict.fromkeys(self._column.iloc[start : start + ROWS].tolist()):
                name = text.strip()
                if text:
                    yield text
                if name and name != text:
                    yield name


def _records(
    table: "pd.DataFrame", columns: TableColumns, folder: ImageRoot
) -> Iterator[ImageRecord]:
    """Yield a record for each row."""
    for start in range(0, len(table), ROWS):
        for row in table_rows(table.iloc[start : start + ROWS], columns):
            path = _listed_path(folder, row.path)
            reader = _reader(folder.root, path)
            yield ImageRecord(path, reader, row.label, row.group, row.columns)


def _reader(root: str, path: str) -> FileBytes | RemoteObject:
    if is_remote(path):
        return RemoteObject(path)
    return RemoteObject(f"{root}/{path}") if is_remote(root) else FileBytes(joined_path(root, path))


def _host(root: str, path: str) -> str:
    """Return the web server of a path, or an empty text."""
    address = path if is_remote(path) else root
    return address.split("/")[2] if address.partition("://")[0] in WEB else ""


def _of_several_hosts(record: ImageRecord) -> ImageRecord:
    if not isinstance(record.reader, RemoteObject):
        return record
    return replace(record, reader=replace(record.reader, of_several_hosts=True))


def read_text_table(spec: str) -> "pd.DataFrame":
    """Read a CSV, TSV or Parquet file as text.

    Numbers stay as they are written, such as the labels ``0`` and ``1``. Missing values become
    empty text. Spaces around column names are removed. A column without a name is named after its
    position, such as ``Unnamed: 0``.

    Raises
    ------
    RefusedFileError
        If the file cannot be read as a table. If two columns have the same name.
    """
    try:
        if Path(spec).suffix.lower() == ".parquet":
            return as_text(_read_parquet(spec), spec)
        content = whole_file(spec).read() if is_remote(spec) else read_regular(Path(spec))
    except (RefusedFileError, StorageError):
        raise
    except OSError as error:
        raise not_a_table(spec, error) from error
    return text_table(content, spec)


def _read_parquet(spec: str) -> "pd.DataFrame":
    """Read the columns of a Parquet file that hold text, numbers, truth values or times."""
    shard = ParquetShard(spec)
    with shard.errors():
        names = plain_columns(shard.parquet.schema_arrow)
        check_parquet_size(shard.parquet, shard.source, names)
        table = shard.parquet.read(columns=names)
        frame: pd.DataFrame = table.to_pandas()
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()  # pandas stores its index as a column
    return frame.convert_dtypes()  # integers with missing values stay integers


def _unread_columns(spec: str) -> list[str]:
    """Return the columns of a Parquet file that `_read_parquet` does not read."""
    if Path(spec).suffix.lower() != ".parquet":
        return []
    schema = ParquetShard(spec).parquet.schema_arrow
    plain = plain_columns(schema)
    return [name for name in schema.names if name not in plain]


def read_table(spec: str, names: TableColumns) -> tuple["pd.DataFrame", TableColumns]:
    """Read a table of images, and find its columns of paths, labels and groups."""
    table = read_text_table(spec)
    columns = find_columns(table, spec, names)
    if not len(table):
        raise EmptySourceError(
            f"the table {spec} has a header, but no rows. Add one row for each image"
        )
    return table, columns


def find_columns(
    table: "pd.DataFrame",
    spec: str,
    names: TableColumns,
    *,
    needs_path: bool = True,
    has_options: bool = True,
) -> TableColumns:
    """Find the columns of paths, labels and groups of a table.

    Parameters
    ----------
    table : pandas.DataFrame
        The table.
    spec : str
        Its name, for messages.
    names : TableColumns
        The given names.
    needs_path : bool
        Whether a table without a column of paths is an error.
    has_options : bool
        Whether options such as ``--label-col`` apply to this table. Only messages depend on it.

    Raises
    ------
    UnknownNameError
        If a given column is not in the table, or if a needed path column is neither given nor
        recognised by a usual name. If several columns match one usual name, such as ``label`` and
        ``Label``.
    """

    def pick(role: str, given: str, usual: tuple[str, ...]) -> str:
        option = f"Pass one of them with --{role}-col" if has_options else "Rename all but one"
        return _pick(table, spec, role, given, usual, option)

    path = pick("path", names.path, PATH_NAMES)
    if needs_path and not path:
        raise no_usual_column(spec, "path", [*map(str, table.columns), *_unread_columns(spec)])
    return TableColumns(
        path=path,
        label=pick("label", names.label, LABEL_NAMES),
        group=pick("group", names.group, GROUP_NAMES),
    )


def _pick(
    table: "pd.DataFrame", spec: str, role: str, given: str, usual: tuple[str, ...], remedy: str
) -> str:
    """Return the given column, or the column with the most preferred usual name if none is given.

    If no column has a usual name, return an empty text.
    """
    present = [str(name) for name in table.columns]
    if given in present:
        return given
    wanted = (plain_name(given),) if given else usual
    columns = usual_columns(present, wanted)
    if len(columns) > 1:
        raise UnknownNameError(f"{spec} has several {role} columns: {', '.join(columns)}. {remedy}")
    if columns:
        return columns[0]
    if given:
        raise unknown_name(f"{role} column of {spec}", given, present)
    return ""


def no_usual_column(spec: str, role: str, columns: Sequence[str]) -> UnknownNameError:
    """Return the error for a table in which the column of paths or labels is not recognised."""
    return UnknownNameError(
        f"{spec} has no column of {role}s with a usual name (columns: {', '.join(columns)}). Pass "
        f"the column of {role}s with --{role}-col"
    )


def table_rows(table: "pd.DataFrame", names: TableColumns) -> list[TableRow]:
    """Split the rows of a table into paths, labels, groups and all other columns."""
    special = {names.path}
    special |= {name for name, role in ((names.label, "label"), (names.group, "group"))
                if name == role}  # fmt: skip
    others = [str(name) for name in table.columns if name not in special]
    of_text = lru_cache(MAX_CACHED)(present)
    blank = [""] * len(table)

    def texts(name: str) -> list[str]:
        return table[name].tolist() if name else blank

    return [
        TableRow(path, of_text(label), of_text(group), tuple(zip(others, values, strict=True)))
        for path, label, group, *values in zip(
            texts(names.path), texts(names.label), texts(names.group), *map(texts, others),
            strict=True,
        )
    ]  # fmt: skip
