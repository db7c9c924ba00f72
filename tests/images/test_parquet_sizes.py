"""Parquet tables that unpack to gigabytes are refused before they are unpacked."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipfeat.errors import RefusedFileError
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


def test_usual_tables_pass(tmp_path: Path) -> None:
    paths = [f"{i}.png" for i in range(1000)]
    table = pa.table({"path": paths, "label": repeated("real", 1000), "n": range(1000),
                      "parts": [[1, 2]] * 1000, "a.b": ["x"] * 1000})  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")
    assert len(open_source(str(tmp_path / "x.parquet"))) == 1000
