"""Tests of cells of Parquet files: threads, memory, and hostile files."""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFile

from clipfeat.errors import ClipfeatError, ReadError, RefusedFileError, StorageError
from clipfeat.images import open_source, parquet_cells, readers
from clipfeat.images.parquet_cells import ParquetCell
from clipfeat.system.locations import location
from tests.images.test_parquet_images import IMAGE, images, write


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the row group of each cell that is decoded."""
    groups: list[int] = []
    original = pq.ParquetFile.iter_batches

    def recording(self: pq.ParquetFile, *args: Any, row_groups: list[int], **options: Any) -> Any:
        for batch in original(self, *args, row_groups=row_groups, **options):
            groups.extend(list(row_groups) * batch.num_rows)
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", recording)
    return groups


def cells(file: str, n: int) -> list[ParquetCell]:
    return [ParquetCell(file, "image.bytes", row) for row in range(n)]


def test_threads_decode_each_cell_once(tmp_path: Path, decoded: list[int]) -> None:
    """Threads share the decoded cells, even across row groups."""
    file = write(tmp_path / "a.parquet", {"image": images(500)}, rows=7)
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(ParquetCell.read, cells(file, 500)))
    assert contents == [b"%d" % i for i in range(500)]
    assert len(decoded) < 600


def test_any_order_gives_the_bytes_of_the_row(
    tmp_path: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any order, a dropped cell is read again from its row group only."""
    monkeypatch.setattr(parquet_cells, "KEPT_ROWS", 3)
    file = write(tmp_path / "a.parquet", {"image": images(40)}, rows=10)
    order = random.Random(0).sample(range(40), 40)
    readers_of = cells(file, 40)
    assert [readers_of[row].read() for row in order] == [b"%d" % row for row in order]
    assert len(decoded) < 40 * 20
    decoded.clear()
    assert readers_of[35].read() == b"35"
    assert set(decoded) == {3}


def test_kept_cells_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that are never read do not fill the memory."""
    monkeypatch.setattr(parquet_cells, "KEPT_BYTES", 5)
    file = write(tmp_path / "a.parquet", {"image": images(100)}, rows=100)
    assert ParquetCell(file, "image.bytes", 98).read() == b"98"
    column = parquet_cells._shared_column(file, "image.bytes")
    assert column._n_kept_bytes <= 5
    assert ParquetCell(file, "image.bytes", 99).read() == b"99"


def test_a_replaced_file_is_opened_again(tmp_path: Path) -> None:
    """After a file is replaced, no row gives bytes of the old file."""
    file = write(tmp_path / "a.parquet", {"image": images(2)})
    (first,) = (record.reader for record in list(open_source(file))[:1])
    assert first.read() == b"0"
    other = pa.array([{"bytes": b"other", "path": "x"}], IMAGE)
    Path(write(tmp_path / "b.parquet", {"image": other})).replace(file)
    assert first.read() == b"other"
    with pytest.raises(ReadError, match="has no row 1"):
        ParquetCell(file, "image.bytes", 1).read()


def test_cells_that_are_not_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A null, empty or too large cell is a failure of its row."""
    monkeypatch.setattr(readers, "MAX_BYTES", 3)
    rows = [None, {"bytes": None, "path": "a"}, {"bytes": b"", "path": "b"},
            {"bytes": b"1234", "path": "c"}, {"bytes": b"123", "path": "d"}]  # fmt: skip
    source = open_source(write(tmp_path / "a.parquet", {"image": pa.array(rows, IMAGE)}))
    for record, message in zip(
        source, ["no bytes", "no bytes", "is empty", "4 bytes, more than the limit"], strict=False
    ):
        with pytest.raises(ReadError, match=message):
            record.reader.read()
    assert source.records[4].reader.read() == b"123"


def noisy(path: Path) -> tuple[str, bytearray]:
    """Write a file of two row groups with page checksums, and return its bytes."""
    rng = random.Random(0)
    rows = [{"bytes": rng.randbytes(500), "path": f"{i}.png"} for i in range(20)]
    table = pa.table({"image": pa.array(rows, IMAGE), "label": [i % 2 for i in range(20)]})
    pq.write_table(table, path, row_group_size=10, write_page_checksum=True, use_dictionary=False)
    return str(path), bytearray(path.read_bytes())


def test_a_damaged_page_costs_its_rows(tmp_path: Path) -> None:
    """Only the rows of a damaged page fail. The following rows are read."""
    file, content = noisy(tmp_path / "a.parquet")
    place = pq.ParquetFile(file).metadata.row_group(0).column(0).data_page_offset
    content[place + 3000] ^= 1
    Path(file).write_bytes(content)
    outcomes = []
    for record in open_source(file):
        try:
            outcomes.append(len(record.reader.read()))
        except ReadError as error:
            assert "CRC" in str(error)
            outcomes.append(0)
    assert outcomes == [0] * 10 + [500] * 10


@pytest.mark.parametrize("case", ["truncated", "text", "empty", "footer"])
def test_files_that_are_not_parquet_are_errors(case: str, tmp_path: Path) -> None:
    """The error names the file."""
    file, content = noisy(tmp_path / "a.parquet")
    changed = {
        "truncated": content[:-300], "text": b"text" * 10, "empty": b"",
        "footer": content[:-200] + b"\xff" * 100 + content[-100:],
    }[case]  # fmt: skip
    Path(file).write_bytes(changed)
    for spec in (file, f"{tmp_path}/*.parquet"):
        with pytest.raises(RefusedFileError, match=r"a\.parquet.* cannot be read"):
            open_source(spec)


def test_a_file_that_shrinks_while_it_is_read_is_no_crash(tmp_path: Path) -> None:
    """If the file shrinks, each row is read or is a failure."""
    file, _ = noisy(tmp_path / "a.parquet")
    records = list(open_source(file))
    assert len(records[0].reader.read()) == 500
    os.truncate(file, 2000)
    with pytest.raises(ReadError):
        records[15].reader.read()


def test_claims_beyond_the_size_of_the_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file that claims millions of rows or gigabytes is refused."""
    rows = 200_000
    nulls = pa.array([None] * rows, IMAGE)
    with pytest.raises(RefusedFileError, match="claims 200000 rows in"):
        open_source(write(tmp_path / "a.parquet", {"image": nulls}, rows=rows))
    monkeypatch.setattr("clipfeat.images.parquet_images.MAX_UNPACKED", 0)
    text = ["x" * 10_000] * 1000
    spec = write(tmp_path / "b.parquet", {"image": images(1000), "label": text}, rows=1000)
    with pytest.raises(RefusedFileError, match="more than 20 times its size"):
        open_source(spec)


def test_an_object_store_that_does_not_answer_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Errors of the store end the run, and are not failures of rows."""
    _, content = noisy(tmp_path / "a.parquet")
    remote = location("memory://cells/a.parquet")
    remote.write_bytes(bytes(content))
    record = open_source("memory://cells/a.parquet").records[0]
    assert len(record.reader.read()) == 500

    def unreachable(*_: object) -> bytes:
        raise TimeoutError("no answer")

    monkeypatch.setattr(MemoryFile, "read", unreachable, raising=False)
    with pytest.raises(StorageError, match="no answer"):
        open_source("memory://cells/a.parquet")
    monkeypatch.undo()
    remote.write_bytes(bytes(content[:-9]))
    with pytest.raises(ClipfeatError, match="cannot be read"):
        open_source("memory://cells/a.parquet")
