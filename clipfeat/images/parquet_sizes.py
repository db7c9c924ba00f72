"""Check of the size to which a Parquet table unpacks, before it is unpacked.

A table of a few hundred bytes may hold millions of equal rows, or one long text that each row
repeats.
"""

from collections.abc import Sequence
from typing import Any

from clipfeat.system.files import MAX_RATIO, MAX_UNPACKED

MIN_CELLS, CELLS_PER_BYTE = 2**22, 8
"""A table may have `MIN_CELLS` values, or `CELLS_PER_BYTE` values per byte if this is more."""
MAX_COLUMNS = 2_000
"""Maximum number of columns of a file. Each column takes time in every row group."""


def check_parquet_images(parquet: Any, name: str) -> None:
    """Check the number of columns of a file, and the size to which a column of images unpacks.

    Parameters
    ----------
    parquet : pyarrow.parquet.ParquetFile
        The open file.
    name : str
        Path of the column of bytes in the schema, such as ``image.bytes``.

    Raises
    ------
    ValueError
        If there are too many columns, or if the images would unpack to far more than their size in
        the file.
    """
    about = parquet.metadata
    if about.num_columns > MAX_COLUMNS:
        raise ValueError(f"it has {about.num_columns} columns, more than {MAX_COLUMNS}")
    for i in range(about.num_row_groups):
        group = about.row_group(i)
        chunks = [group.column(k) for k in range(group.num_columns)]
        for chunk in (chunk for chunk in chunks if chunk.path_in_schema == name):
            size, n_bytes = chunk.total_compressed_size, chunk.total_uncompressed_size
            if n_bytes > max(MAX_UNPACKED, MAX_RATIO * size):
                raise ValueError(f"{size} bytes of images would unpack to {n_bytes} bytes")


def check_parquet_size(parquet: Any, source: Any, names: Sequence[str]) -> None:
    """Check the number of values in columns of a table, and the total length of their texts.

    Parameters
    ----------
    parquet : pyarrow.parquet.ParquetFile
        The open file.
    source : str or file-like
        The argument from which the file is opened again.
    names : sequence of str
        Paths of the columns in the schema that will be read, such as ``label`` or ``image.path``.
        A column may be in a structure, but not in a list.

    Raises
    ------
    ValueError
        If the columns would unpack to far more than their size in the file.
    pyarrow.ArrowException, OSError
        If the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    about = parquet.metadata
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    chosen = [chunk for chunk in chunks if chunk.path_in_schema in names]
    size = sum(chunk.total_compressed_size for chunk in chosen)
    n_cells = sum(chunk.num_values for chunk in chosen)
    if n_cells > max(MIN_CELLS, CELLS_PER_BYTE * size):
        raise ValueError(f"{size} bytes would unpack to {n_cells} values")
    limit = max(MAX_UNPACKED, MAX_RATIO * size)
    n_bytes = sum(chunk.total_uncompressed_size for chunk in chosen)
    if n_bytes <= limit:
        columns = map(parquet.schema.column, range(about.num_columns))
        texts = [
            column.path
            for column in columns
            if column.physical_type == "BYTE_ARRAY" and column.path in names
        ]
        # As a dictionary, a text that is repeated is stored once. Arrow cannot read dictionaries of
        # several row groups together if they are in a structure.
        as_dictionaries = pq.ParquetFile(source, read_dictionary=texts)
        for i in range(about.num_row_groups if texts else 0):
            table = as_dictionaries.read_row_group(i, columns=texts, use_threads=False).flatten()
            for chunk in (chunk for column in table.columns for chunk in column.chunks):
                if pa.types.is_dictionary(chunk.type):
                    lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
                    n_bytes += pc.sum(lengths).as_py() or 0
    if n_bytes > limit:
        raise ValueError(f"{size} bytes would unpack to {n_bytes} bytes")
