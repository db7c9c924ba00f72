"""Tests that Parquet tables that unpack to gigabytes are refused before unpacking."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipfeat.errors import RefusedFileError, UnknownNameError
from clipfeat.images import open_source


def repeated(text: str, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([text]))


@pytest.mark.parametrize(
    ("column", "message"),
    [(repeated("a.png", 5_000_000), "would unpack to 5000000 values"),
     (repeated("x" * 2**20, 300), "would unpack to 31"),
     (pa.nulls(5_000_000, pa.string()), "would unpack to 5000000 values")],
    ids=["many rows", "one long text", "missing values"],
)  # fmt: skip
def test_a_small_file_of_a_large_table(column: pa.Array, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"path": column}), file, compression="zstd")
    assert file.stat().st_size < 100_000
    with pytest.raises(RefusedFileError, match=message):
        open_source(str(file))


@pytest.mark.parametrize("name", ["text", "a.b", "image"])
def test_a_small_file_of_images_with_one_long_text(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A very long text or name is refused before a batch of rows is read."""
    monkeypatch.setattr("clipfeat.images.parquet_sizes.MAX_UNPACKED", 2**20)
    texts, images = repeated("x" * 2**14, 300), pa.array([b"bytes"] * 300)
    paths = texts if name == "image" else pa.nulls(300, pa.string())
    image = pa.StructArray.from_arrays([images, paths], ["bytes", "path"])
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({name: texts, "image": image}), file, store_schema=False)
    with pytest.raises(RefusedFileError, match="bytes would unpack to 49"):
        open_source(str(file))


def test_a_small_file_of_large_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that unpack to far more than the file's size are refused."""
    monkeypatch.setattr("clipfeat.images.parquet_sizes.MAX_UNPACKED", 2**20)
    table = pa.table({"image": pa.array([bytes(2**21)])})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(RefusedFileError, match="bytes of images would unpack to 209"):
        open_source(str(tmp_path / "x.parquet"))


def test_a_file_of_many_columns_is_refused(tmp_path: Path) -> None:
    """Too many columns are refused, because each takes time in each row group."""
    table = pa.table({"image": pa.array([b"x"])} | {f"c{i}": pa.array([1]) for i in range(2_000)})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(RefusedFileError, match="it has 2001 columns, more than 2000"):
        open_source(str(tmp_path / "x.parquet"))


def test_nested_columns_of_a_table_are_not_read(tmp_path: Path) -> None:
    """Nested columns are ignored, because measuring their texts would unpack them."""
    inner = repeated("x" * 2**20, 300)
    offsets = pa.array(range(301), pa.int32())
    meta = pa.StructArray.from_arrays([inner], ["text"])
    lists = pa.ListArray.from_arrays(offsets, inner)
    paths, labels = [f"{i}.png" for i in range(300)], ["b"] * 300
    table = {"path": paths, "label": labels, "meta": meta, "lists": lists}
    pq.write_table(pa.table(table), tmp_path / "x.parquet", compression="zstd", store_schema=False)
    source = open_source(str(tmp_path / "x.parquet"))
    assert {(record.label, record.columns) for record in source} == {("b", ())}
    pq.write_table(pa.table({"meta": meta}), tmp_path / "y.parquet", store_schema=False)
    with pytest.raises(UnknownNameError, match="columns: meta"):
        open_source(str(tmp_path / "y.parquet"))


def test_usual_tables_pass(tmp_path: Path) -> None:
    paths = [f"{i}.png" for i in range(1000)]
    table = pa.table({"path": paths, "label": repeated("real", 1000), "n": range(1000),
                      "parts": [[1, 2]] * 1000, "a.b": ["x"] * 1000})  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")
    assert len(open_source(str(tmp_path / "x.parquet"))) == 1000
