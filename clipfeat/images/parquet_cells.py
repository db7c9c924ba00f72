"""Cells of Parquet files that hold the bytes of images.

Parquet stores the cells of a column in compressed pages, so a single cell cannot be read from its
position in the file. The threads of a process therefore share one reader per file, which decodes
the cells in order and decodes each page once. A decoded cell is kept until a thread requests it. If
the kept cells exceed `KEPT_ROWS` or `KEPT_BYTES`, the oldest are dropped. To read a dropped cell,
its row group is decoded again.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

from clipfeat.errors import ReadError, StorageError
from clipfeat.images import readers
from clipfeat.images.readers import FileReader, read_head
from clipfeat.system.file_stats import Stat, file_stat
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import is_remote, location
from clipfeat.system.optional_libraries import require

KEPT_ROWS, KEPT_BYTES = 256, 2**27
"""Maximum number and size of the decoded cells that are kept for other threads."""
MAX_OPEN = 3
"""Maximum number of columns that stay open, each with its file."""
_BUFFER = 2**20
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class ParquetCell(FileReader):
    """Reader of a cell of a Parquet file, which may be on an object store.

    Parameters
    ----------
    file : str
        Path or URL of the Parquet file.
    column : str
        Path of the column in the schema, such as ``"image.bytes"``.
    row : int
        Number of the row in the file.
    """

    column: str
    row: int

    def read(self) -> bytes:
        """Read the cell.

        Raises
        ------
        ReadError
            If the file cannot be read, or if the page of the cell is damaged. If the cell has no
            value, is empty, or is larger than `clipfeat.images.readers.MAX_BYTES`.
        StorageError
            If an object store does not answer.
        """
        cell = _shared_column(self.file, self.column).cell(self.row)
        if isinstance(cell, int):
            raise ReadError(
                f"the cell has {cell} bytes, more than the limit of {readers.MAX_BYTES}"
            )
        if cell is None:
            raise ReadError("the cell has no bytes")
        if not cell:
            raise ReadError("the cell is empty")
        return cell


class ParquetShard:
    """Open Parquet file.

    Parameters
    ----------
    file : str
        Path or URL.

    Attributes
    ----------
    parquet : pyarrow.parquet.ParquetFile
        The open file.
    source : str or file-like
        The argument from which pyarrow can open the file again.

    Raises
    ------
    ReadError
        If the file is missing, or is not a Parquet file.
    StorageError
        If an object store does not answer.
    """

    def __init__(self, file: str) -> None:
        require("pyarrow", f"reading {file}")
        import pyarrow.parquet as pq

        self.file = file
        self._remote: _RemoteFile | None = None
        if is_remote(file):
            with storage_errors(f"reading {file}"):
                self._remote = _RemoteFile(location(file).open("rb"))
        elif not Path(file).is_file():  # opening a FIFO would block
            raise ReadError("the file is missing, or is not a regular file")
        self.source: Any = self._remote or file
        try:
            with self.errors():
                self.parquet = pq.ParquetFile(
                    self.source, buffer_size=_BUFFER, page_checksum_verification=True
                )
        except ReadError as error:
            if read_head(file, len(_POINTER)) != _POINTER:
                raise
            raise ReadError(
                "the file is a pointer of Git LFS. Run git lfs pull in its repository"
            ) from error

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Convert the errors of Arrow to ReadError, and those of an object store to StorageError.

        Arrow raises OSError for damaged pages and for errors of an object store. `_RemoteFile`
        keeps the errors of the object store, so that they can be told apart.
        """
        import pyarrow as pa

        try:
            yield
        except (ReadError, StorageError):
            raise
        except (
            pa.ArrowException, OSError, ValueError, MemoryError, EOFError, IndexError,
            OverflowError,
        ) as error:  # fmt: skip
            if self._remote is not None and self._remote.failure is not None:
                with storage_errors(f"reading {self.file}"):
                    raise self._remote.failure from error
            text = str(error).strip().partition("\n")[0][:200].rstrip(".")
            reason = text or type(error).__name__
            raise ReadError(f"the Parquet file cannot be read: {reason}") from error


class _RemoteFile:
    """Remote file that remembers the error of a failed read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, *size: int) -> bytes:
        """Read bytes, and remember the error if this fails."""
        try:
            data: bytes = self._file.read(*size)
        except Exception as error:
            self.failure = error
            raise
        return data


class _SharedColumn:
    """Column of a Parquet file that several threads read, mostly in order."""

    def __init__(self, file: str, column: str) -> None:
        self._lock = Lock()
        self._column = column
        self._shard = ParquetShard(file)
        metadata = self._shard.parquet.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        if min(sizes, default=0) < 0:
            raise ReadError("the Parquet file cannot be read: a row group has fewer than 0 rows")
        self._starts: list[int] = [0, *accumulate(sizes)]
        self._next_row = 0
        self._cells: Iterator[bytes | int | None] | None = None
        self._kept: dict[int, bytes | int | None] = {}
        self._n_kept_bytes = 0
        self._damage: dict[int, tuple[int, str]] = {}

    def cell(self, row: int) -> bytes | int | None:
        """Return the bytes in a row, or None if the cell has no value.

        If the bytes exceed the limit, return their number instead.
        """
        with self._lock:
            if row in self._kept:
                return self._pop(row)
            if not 0 <= row < self._starts[-1]:
                raise ReadError(f"the Parquet file has no row {row}")
            group = self._group(row)
            first_damaged, reason = self._damage.get(group, (self._starts[-1], ""))
            if row >= first_damaged:
                raise ReadError(reason)
            if self._cells is None or not self._next_row <= row < self._end_of_next_group():
                self._start(group)
            while self._next_row <= row:
                self._advance()
            return self._pop(row)

    def _group(self, row: int) -> int:
        group: int = bisect_right(self._starts, row) - 1
        return group

    def _end_of_next_group(self) -> int:
        return self._starts[min(self._group(self._next_row) + 2, len(self._starts) - 1)]

    def _start(self, group: int) -> None:
        """Start reading at the first row of a row group."""
        self._kept.clear()
        self._n_kept_bytes = 0
        self._next_row = self._starts[group]
        self._cells = (
            cell for at in range(group, len(self._starts) - 1) for cell in self._read(at)
        )

    def _read(self, group: int) -> Iterator[bytes | int | None]:
        import pyarrow as pa

        left = self._starts[group + 1] - self._starts[group]
        for batch in self._shard.parquet.iter_batches(
            batch_size=1, row_groups=[group], columns=[self._column], use_threads=False
        ):
            column = batch.column(0)
            while pa.types.is_struct(column.type):
                column = column.flatten()[0]  # null if the struct is null
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            for value in column:
                left -= 1
                if not value.is_valid:
                    yield None
                elif (size := value.as_buffer().size) > readers.MAX_BYTES:
                    yield size
                else:
                    yield value.as_py()
        if left:
            raise ValueError(
                "the number of rows of a row group differs from the number in the footer"
            )

    def _advance(self) -> None:
        """Decode the cell of the next row.

        Raises
        ------
        ReadError
            If it cannot be decoded. The later rows of its row group are then damaged too.
        """
        assert self._cells is not None
        try:
            with self._shard.errors():
                cell = next(self._cells)
        except ReadError as error:
            self._damage[self._group(self._next_row)] = self._next_row, str(error)
            self._cells = None
            raise
        except BaseException:
            self._cells = None
            raise
        self._kept[self._next_row] = cell
        self._n_kept_bytes += _n_bytes(cell)
        self._next_row += 1
        while len(self._kept) > KEPT_ROWS or (
            self._n_kept_bytes > KEPT_BYTES and len(self._kept) > 1
        ):
            self._pop(next(iter(self._kept)))
        if self._next_row == self._starts[-1]:
            self._cells = None  # frees the pages

    def _pop(self, row: int) -> bytes | int | None:
        cell = self._kept.pop(row)
        self._n_kept_bytes -= _n_bytes(cell)
        return cell


def _n_bytes(cell: bytes | int | None) -> int:
    return len(cell) if isinstance(cell, bytes) else 0


_open_columns: OrderedDict[tuple[str, str, Stat | None], _SharedColumn] = OrderedDict()
_opening = Lock()


def _shared_column(file: str, column: str) -> _SharedColumn:
    """Return the open column of a file. Close the least recently used column if necessary."""
    key = file, column, None if is_remote(file) else file_stat(file)
    with _opening:
        if key not in _open_columns:
            _open_columns[key] = _SharedColumn(file, column)
        _open_columns.move_to_end(key)
        while len(_open_columns) > MAX_OPEN:
            _open_columns.popitem(last=False)
        return _open_columns[key]


def close_columns(file: str) -> None:
    """Close the open columns of a file, so that the next read opens it again."""
    with _opening:
        for key in [key for key in _open_columns if key[0] == file]:
            del _open_columns[key]
