"""Zip archives of images, which are read without unpacking.

Folders in an archive give the labels, as in `clipfeat.images.folder`, unless the archive has a
table of labels. Such a table is a ``.csv`` or ``.tsv`` file named ``labels``. If an archive has
only one table, the table may have any name, but its columns of paths and labels must have usual
names. A table labels the images in its own folder and in folders below it. The paths in it are
relative to its folder, and are paired with images by the rule of `clipfeat.features.pairing`. Other
tables are skipped and counted.

If a member occurs twice, its contents must be equal. Links, videos, nested archives and hidden
members, such as the AppleDouble files ``__MACOSX/._x.jpg`` of macOS, are skipped and counted.
Listing reads only the directory of the archive, its tables, and the first bytes of members with an
unknown suffix.
"""

import struct
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from clipfeat.errors import DataError, ReadError, RefusedFileError, UnknownNameError, UsageError
from clipfeat.features.text_tables import text_table
from clipfeat.features.usual_names import plain_name
from clipfeat.images.formats import HEAD_BYTES
from clipfeat.images.labels import label_records
from clipfeat.images.layouts import understand
from clipfeat.images.manifest import (
    TableColumns,
    TableRow,
    find_columns,
    no_usual_column,
    table_rows,
)
from clipfeat.images.member_names import suffix_of
from clipfeat.images.path_prefixes import indices_below
from clipfeat.images.readers import MAX_BYTES
from clipfeat.images.record import ImageRecord
from clipfeat.images.shards import existing_shards, open_shard
from clipfeat.images.skipping import HIDDEN, REPEATED, is_hidden, skipped_kind
from clipfeat.images.source import ImageSource, make_source
from clipfeat.images.video import VIDEO_SUFFIXES
from clipfeat.images.zip_members import ZipMember, zip_members
from clipfeat.system.files import MAX_RATIO
from clipfeat.system.locations import absolute, below, common_folder, folder_of, is_remote

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
LABELS = "labels"
"""Name, without the suffix, of a table that must have columns of paths and labels."""
MAX_TABLE = 2**24
"""A table of labels may unpack to this number of bytes, or to `MAX_RATIO` times its size if
this is more."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Table of labels in an archive.

    Parameters
    ----------
    path : str
        Path in the archive.
    name : str
        Name for messages, with the name of the archive.
    column : str
        Name of the column of paths.
    rows : list of TableRow
        The rows of the table.
    """

    path: str
    name: str
    column: str
    rows: list[TableRow]

    @property
    def folder(self) -> str:
        """Path of its folder in the archive, with a slash at the end. Empty for the top folder."""
        return self.path[: self.path.rfind("/") + 1]


def is_zip_pattern(spec: str) -> bool:
    """Return whether a source is a zip archive or a pattern of zip archives."""
    return spec.lower().endswith(".zip")


def open_zip(spec: str, names: TableColumns = TableColumns()) -> ImageSource:
    """List the images of a zip archive, or of a pattern such as ``shard_{0..9}.zip``.

    Parameters
    ----------
    spec : str
        Path or pattern.
    names : TableColumns
        Names of the columns of the tables in the archives.

    Raises
    ------
    EmptySourceError
        If an archive is missing, or if there is no image.
    RefusedFileError
        If an archive or a table named ``labels`` cannot be read.
    UsageError
        If a column of paths is given, but no archive has a table of labels.
    UnknownNameError
        If a table named ``labels`` has no columns of paths and labels with usual names.
    LabelError
        If no image is in a table, or if rows for one image differ.
    DataError
        If a member occurs twice with different contents.
    """
    shards = existing_shards(spec)
    root = common_folder([folder_of(shard) for shard in shards])
    skipped: Counter[str] = Counter()
    members = {shard: _members(shard, skipped) for shard in shards}
    prefixes = [below(root, absolute(shard)) for shard in shards]
    images = [_images(of_shard, skipped) for of_shard in members.values()]
    paths = [tuple(path.split("/")) for of_shard in images for path in of_shard]
    understood = understand(paths, root=Path(shards[0]).stem if len(shards) == 1 else "")
    values = iter(understood.values)
    records: list[ImageRecord] = []
    has_tables = False
    for shard, prefix, of_shard in zip(shards, prefixes, images, strict=True):
        own = [
            ImageRecord(path, reader, value.label, value.group, value.columns)
            for (path, reader), value in zip(of_shard.items(), values, strict=False)
        ]
        tables = _tables(shard, members[shard], names, skipped)
        has_tables |= bool(tables)
        for record in _labelled(own, tables, shard, skipped):
            records.append(replace(record, path=f"{prefix}/{record.path}"))
    places = tuple(absolute(shard) for shard in shards if not is_remote(shard))
    source = make_source(spec, root, records, skipped=skipped, places=places)
    if has_tables:
        return source
    if names.path:
        raise UsageError(
            f"--path-col applies to tables, but {spec} has no table of labels inside. Omit "
            "--path-col"
        )
    return replace(source, layout=understood.layout, notes=understood.notes)


def _members(shard: str, skipped: Counter[str]) -> dict[str, ZipMember]:
    """Return the files in an archive by path. Count hidden files and links as skipped."""
    members: dict[str, ZipMember] = {}
    try:
        with open_shard(shard) as file:
            for path, kind, reader in zip_members(file, shard):
                if is_hidden(path.split("/")):
                    skipped[HIDDEN] += 1
                elif kind:
                    skipped[kind] += 1
                elif (first := members.setdefault(path, reader)) is not reader:
                    if (first.size, first.crc) != (reader.size, reader.crc):
                        raise DataError(
                            f"{shard} has two members named {path!r} with different contents. "
                            "Remove one of them"
                        )
                    skipped[REPEATED] += 1
    except DataError:
        raise
    except (zipfile.BadZipFile, struct.error, ValueError, OverflowError, MemoryError) as error:
        raise RefusedFileError(
            f"{shard} cannot be read as a zip archive: {error}. Pass an intact zip archive"
        ) from error
    return members


def _images(members: dict[str, ZipMember], skipped: Counter[str]) -> dict[str, ZipMember]:
    """Return the images of an archive. Count other members, except tables, as skipped."""
    images: dict[str, ZipMember] = {}
    for path, reader in members.items():
        suffix = suffix_of(path)
        if suffix in TABLE_SUFFIXES:
            continue
        if kind := skipped_kind(path, partial(reader.read_head, HEAD_BYTES)):
            skipped[kind] += 1
        elif suffix in VIDEO_SUFFIXES:
            skipped[suffix] += 1
        else:
            images[path] = reader
    return images


def _tables(
    shard: str, members: dict[str, ZipMember], names: TableColumns, skipped: Counter[str]
) -> list[_Table]:
    """Read the tables of labels in an archive, and count all other tables as skipped."""
    paths = [path for path in members if suffix_of(path) in TABLE_SUFFIXES]
    named = [path for path in paths if PurePosixPath(path).stem.lower() == LABELS]
    tables = [_table(shard, path, members[path], names) for path in named]
    if not named and len(paths) == 1:
        with suppress(*(() if names.path else (RefusedFileError, UnknownNameError))):
            tables = [_table(shard, paths[0], members[paths[0]], names)]
    used = {table.path for table in tables}
    skipped.update(suffix_of(path) for path in paths if path not in used)
    return tables


def _table(shard: str, path: str, reader: ZipMember, names: TableColumns) -> _Table:
    name = f"{shard}/{path}"
    try:
        content = reader.read_at_most(min(MAX_BYTES, max(MAX_TABLE, MAX_RATIO * reader.compressed)))
    except ReadError as error:
        raise RefusedFileError(
            f"{name} cannot be read: {error}. Pass an intact zip archive"
        ) from error
    table = text_table(content, name)
    # A given column that is not in the table may come from the folders of the archive.
    known = {plain_name(column) for column in table.columns}
    label, group = (
        given if plain_name(given) in known else "" for given in (names.label, names.group)
    )
    columns = find_columns(table, name, TableColumns(names.path, label, group))
    if not columns.label:
        raise no_usual_column(name, "label", table.columns.tolist())
    return _Table(path, name, columns.path, table_rows(table, columns))


def _labelled(
    records: Sequence[ImageRecord], tables: Sequence[_Table], shard: str, skipped: Counter[str]
) -> list[ImageRecord]:
    """Give images the labels of the table in the nearest folder above them, if there is one."""
    labelled = list(records)
    left = set(range(len(records)))
    inside_of = indices_below([record.path for record in records])
    folders = [table.folder if inside_of(table.folder) else "" for table in tables]
    for folder, table in sorted(zip(folders, tables, strict=True), key=lambda pair: -len(pair[0])):
        inside = [i for i in inside_of(folder) if i in left]
        left.difference_update(inside)
        if not inside:
            continue
        own = [records[i] for i in inside]
        paths = [record.path.removeprefix(folder) for record in own]
        named = label_records(shard, own, paths, table.rows, table.name, table.column, skipped)
        for i, record in zip(inside, named, strict=True):
            labelled[i] = record
    return labelled
