"""Parquet files with the bytes of images: single files, patterns of shards, and folders of shards.

`clipfeat.images.parquet_columns` states which column holds the images. A folder is a folder of
shards if it has a Parquet file with images. If it also has image files, it is unclear which of them
are the data, so the folder is refused.

Listing reads the columns of text and numbers, but no image. As in a table, the columns of labels
and groups are recognised by usual names, and all others are kept. If Hugging Face's metadata names
the classes of a column, the names replace the numbers. The column ``split`` comes from the names of
shards, such as ``train-00000-of-00003.parquet``, and of folders.

The path of an image consists of the path of its shard and the image's file name. The file names are
in the column of images, or in a column with a usual name, such as ``image_name``. If file names of
a shard are missing or repeated, the numbers of the rows are used instead: ``train.parquet#17``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from clipfeat.errors import ReadError, RefusedFileError
from clipfeat.features.official_parts import SPLIT, official_part
from clipfeat.features.text_tables import as_text
from clipfeat.images.folder import find_files
from clipfeat.images.formats import image_suffixes
from clipfeat.images.manifest import (
    TableColumns,
    find_columns,
    is_table,
    table_rows,
    warn_of_unlabelled,
)
from clipfeat.images.parquet_cells import ParquetCell, ParquetShard, close_columns
from clipfeat.images.parquet_columns import (
    ImageColumn,
    class_names_of,
    image_column,
)
from clipfeat.images.parquet_sizes import check_parquet_images, check_parquet_size
from clipfeat.images.parquet_types import plain_columns
from clipfeat.images.record import ImageRecord
from clipfeat.images.shards import existing_shards, is_pattern, member_path
from clipfeat.images.skipping import HIDDEN, NO_SUFFIX, is_hidden
from clipfeat.images.source import ImageSource, make_source
from clipfeat.images.video import VIDEO_SUFFIXES
from clipfeat.system.files import MAX_RATIO, MAX_UNPACKED
from clipfeat.system.locations import absolute, below, common_folder, folder_of, is_remote, location

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".parquet"
_BATCH = 4096
_MOST_IMAGES = 1000
"""Maximum number of image and Parquet files to search for a Parquet file with images."""
_INDEX = re.compile(r"__index_level_\d+__")
"""Name of the column in which pandas stores the index of a table."""


def is_parquet(spec: str) -> bool:
    """Return whether a source is a Parquet file with images, or a pattern or folder of them."""
    if is_pattern(spec) and not location(spec).is_dir():
        return spec.lower().endswith(SUFFIX)
    if location(spec).is_dir():
        near = islice(find_files(spec, Counter(), _kind_but_images), _MOST_IMAGES)
        return any(map(holds_images, near))
    return is_table(spec) and holds_images(spec)


def holds_images(file: str, name: str = "") -> bool:
    """Return whether a file is a Parquet file with a column of images.

    Parameters
    ----------
    file : str
        Path or URL of an existing file.
    name : str
        Name of the column. If it is empty, `image_column` chooses the column.
    """
    if not file.lower().endswith(SUFFIX):
        return False
    with suppress(ReadError):
        return image_column(ParquetShard(file).parquet.schema_arrow, name) is not None
    return False


def open_parquet(spec: str, names: TableColumns = TableColumns()) -> ImageSource:
    """List the images in the rows of Parquet files.

    Parameters
    ----------
    spec : str
        A file, a pattern such as ``train-*.parquet``, or a folder.
    names : TableColumns
        Names of columns. The column of paths is the column of images, or that of their file names.

    Raises
    ------
    EmptySourceError
        If a file is missing, or if there is no row.
    RefusedFileError
        If a file cannot be read. If a file has no column of images, except in a folder. If a folder
        also has image files.
    UnknownNameError
        If a given column is not in a file.
    """
    skipped: Counter[str] = Counter()
    is_folder = location(spec).is_dir()
    if is_folder:
        root = absolute(spec)
        shards = sorted(find_files(spec, skipped, _kind_but_parquet))
        _refuse_mixture(spec, skipped)
    else:
        shards = existing_shards(spec)
        root = common_folder([folder_of(shard) for shard in shards])
    records: list[ImageRecord] = []
    for shard in shards:
        close_columns(shard)
        try:
            opened = ParquetShard(shard)
            schema = opened.parquet.schema_arrow
            # The given column holds the images or their names.
            given = names.path and image_column(schema, names.path)
            if (column := given or image_column(schema)) is not None:
                prefix = below(root, absolute(shard))
                other = replace(names, path="") if given else names
                records += _rows(opened, column, prefix, other, is_first=not records)
            elif is_folder:
                skipped[SUFFIX] += 1
            else:
                raise RefusedFileError(
                    f"{shard} has no column with the bytes of images (columns: "
                    f"{', '.join(schema.names)}). Pass the column of images with --path-col, or "
                    "leave this file out"
                )
        except ReadError as error:
            raise RefusedFileError(
                f"{shard} cannot be read: {error}. Get the original file again"
            ) from error
    places = (root,) if is_folder else tuple(map(absolute, shards))
    return make_source(
        f"the folder {spec}" if is_folder else spec,
        root,
        records,
        skipped=skipped,
        places=() if is_remote(root) else places,
    )


def _refuse_mixture(spec: str, skipped: Counter[str]) -> None:
    """Refuse a folder of Parquet files with images that also has images or videos."""
    kinds = image_suffixes() | VIDEO_SUFFIXES
    if n_images := sum(n for kind, n in skipped.items() if kind in kinds):
        raise RefusedFileError(
            f"{spec} has Parquet files with images and {n_images} other image files. Pass the "
            f"Parquet files as a pattern, such as '{spec}/*.parquet', or pass the folders of images"
        )


def _kind_but_parquet(name: str, _: str) -> str:
    if is_hidden([name]):
        return HIDDEN
    suffix = PurePosixPath(name).suffix.lower()
    return "" if suffix == SUFFIX else suffix or NO_SUFFIX


def _kind_but_images(name: str, path: str) -> str:
    kind = _kind_but_parquet(name, path)
    return "" if kind in image_suffixes() | VIDEO_SUFFIXES else kind


def _rows(
    shard: ParquetShard, column: ImageColumn, prefix: str, names: TableColumns, *, is_first: bool
) -> Iterator[ImageRecord]:
    """Yield a record for each row of a shard.

    Parameters
    ----------
    shard : ParquetShard
        The open file.
    column : ImageColumn
        Its column of images.
    prefix : str
        Path of the shard below the root of the source.
    names : TableColumns
        Names of the columns of file names, labels and groups.
    is_first : bool
        Whether to warn if there is no column of labels.
    """
    table, file_names = _listed(shard, column)
    columns = find_columns(table, shard.file, names, needs_path=False)
    paths = [] if names.path else _unique_paths(file_names)
    if paths or not columns.path or not (paths := _unique_paths(table[columns.path].tolist())):
        columns = replace(columns, path="")
    if is_first:
        warn_of_unlabelled(shard.file, columns, table.columns.tolist())
    part = _split_of(prefix)
    if part and SPLIT not in table.columns:
        table[SPLIT] = part
    for number, row in enumerate(table_rows(table, columns)):
        yield ImageRecord(
            f"{prefix}/{paths[number]}" if paths else f"{prefix}#{number}",
            ParquetCell(shard.file, column.bytes_at, number),
            row.label,
            row.group,
            row.columns,
        )


def _listed(shard: ParquetShard, column: ImageColumn) -> tuple["pd.DataFrame", list[str]]:
    """Read the columns of text and numbers as text, and the names of the image files.

    Raises
    ------
    ReadError
        If the file is damaged, or unpacks to far more than its size.
    RefusedFileError
        If the file states a wrong number of rows. If two columns have the same name.
    """
    import pandas as pd
    import pyarrow as pa

    parquet, n_bytes = shard.parquet, location(shard.file).stat().st_size
    schema, n_rows = parquet.schema_arrow, parquet.metadata.num_rows
    if not 0 <= n_rows <= n_bytes:
        raise RefusedFileError(
            f"{shard.file} claims {n_rows} rows in {n_bytes} bytes. Get the original file again"
        )
    plain = plain_columns(schema)
    if len(set(schema.names)) < len(schema.names):
        doubled = Counter(schema.names).most_common(1)[0][0]
        raise RefusedFileError(
            f"{shard.file} has two columns named {doubled!r}. Rename one of them"
        )
    read = [*plain, *filter(None, [column.path_at])]
    batches: list[pa.RecordBatch] = []
    n_unpacked = 0
    with shard.errors():
        check_parquet_images(parquet, column.bytes_at)
        check_parquet_size(parquet, shard.source, read)  # a batch may have gigabytes of text
        for batch in parquet.iter_batches(_BATCH, columns=read, use_threads=False) if read else ():
            batches.append(batch)
            n_unpacked += batch.nbytes
            if n_unpacked > max(MAX_UNPACKED, MAX_RATIO * n_bytes):
                raise ValueError(f"its text unpacks to more than {MAX_RATIO} times its size")
        listed = pa.Table.from_batches(batches) if batches else None
        if read and (listed.num_rows if listed is not None else 0) != n_rows:
            raise EOFError(f"its number of rows differs from the {n_rows} in its footer")
        if listed is None:
            return pd.DataFrame(index=range(n_rows)), []
        own = [name for name in plain if not _INDEX.fullmatch(name)]
        frame = listed.select(own).to_pandas(ignore_metadata=True)
        file_names: list[str] = []
        if column.path_at:
            values = listed.column(column.name).flatten()[0].to_pylist()
            file_names = ["" if value is None else str(value) for value in values]
    classes = class_names_of(schema)
    table = as_text(frame.convert_dtypes(), shard.file)  # integers stay integers
    for name, of_column in classes.items():
        if name in table.columns:
            names = {str(code): text for code, text in enumerate(of_column)} | {"-1": ""}
            table[name] = [names.get(value, value) for value in table[name]]
    return table, file_names


def _unique_paths(names: Sequence[str]) -> list[str]:
    """Return the names as paths, or an empty list if one of them is empty or occurs twice."""
    paths = [member_path(name) for name in names]
    return paths if all(paths) and len(set(paths)) == len(paths) else []


def _split_of(path: str) -> str:
    """Return the part of the official split in the name of a shard, or of a folder above it.

    Examples
    --------
    >>> _split_of("data/train-00000-of-00003.parquet"), _split_of("default/test/0000.parquet")
    ('train', 'test')
    """
    *folders, name = path.split("/")
    stem = re.split(r"[-_.]", name)[0]
    return next(filter(None, map(official_part, [stem, *reversed(folders)])), "")
