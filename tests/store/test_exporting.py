"""Tests that exports contain all data and can be read by other tools."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from clipfeat.errors import OutputExistsError, RefusedFileError, UsageError
from clipfeat.store import FeatureWriter, Row, export, load
from clipfeat.store.reading import part_paths
from tests.conftest import make_spec

VALUES = np.array([[0.1, -2], [3, 1e-7]], dtype=np.float32)
ABOUT = {
    "path": ["ü,1.png", "b"], "key": ["aa" * 16, "bb" * 16], "label": ["cat", ""],
    "group": ["g", ""], "split": ["train", ""], "label,x": ["a", ""],
    "height": [4, 0], "width": [5, 0], "file_size": [9, 0], "format": ["PNG", ""],
}  # fmt: skip


def filled(path: Path, precision: str = "fp32") -> Path:
    """Write two rows, one in the snapshot and one in a part, with a column named ``features``."""
    spec = make_spec(n_features=2, precision=precision)
    columns = (("split", "train"), ("label,x", "a"), ("path", "no"), ("features", "no"))
    with FeatureWriter(path, spec) as writer:
        row = Row("ü,1.png", b"\xaa" * 16, "cat", "g", 4, 5, 9, "PNG", columns)
        writer.append([row], VALUES[:1])
        writer.finish()
    with FeatureWriter(path, spec) as writer:
        writer.append([Row("b", b"\xbb" * 16)], VALUES[1:])
    assert part_paths(path)
    return path


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_parquet(tmp_path: Path, precision: str) -> None:
    """Parquet has one row per image, and the features as fixed-size lists."""
    dtype = np.float32 if precision == "fp32" else np.float16
    out = tmp_path / "new" / "x.parquet"
    assert export(filled(tmp_path / "out.h5", precision), out) == 2
    table = pq.read_table(out)
    assert {n: v for n, v in table.to_pydict().items() if n != "features"} == ABOUT
    features = np.stack(table["features"].to_numpy())
    assert features.dtype == dtype
    assert np.array_equal(features, VALUES.astype(dtype))
    assert table.schema.field("features").type.list_size == 2
    fingerprint = table.schema.metadata[b"clipfeat.fingerprint"].decode()
    assert fingerprint == load(tmp_path / "out.h5").specs[0].fingerprint


def test_npz(tmp_path: Path) -> None:
    """The arrays of an npz file have the names of the datasets, and are loaded without pickle."""
    export(filled(tmp_path / "out.h5"), tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["features"], VALUES)
        for name, ours in (("paths", "path"), ("keys", "key"), ("labels", "label"),
                           ("groups", "group"), ("columns/label,x", "label,x")):  # fmt: skip
            assert arrays[name].tolist() == ABOUT[ours]
        assert arrays["image_size"].tolist() == [[4, 5], [0, 0]]


def test_csv(tmp_path: Path) -> None:
    """CSV has one column per feature, with exact values."""
    export(filled(tmp_path / "out.h5"), tmp_path / "x.csv")
    table = pd.read_csv(tmp_path / "x.csv", keep_default_na=False)
    assert table[list(ABOUT)].to_dict("list") == ABOUT
    assert np.array_equal(table[["spectrum.0", "spectrum.1"]].to_numpy("f4"), VALUES)


def test_csv_has_no_formulas(tmp_path: Path) -> None:
    """Names and labels cannot become formulas or new lines in a spreadsheet."""
    out = tmp_path / "out.h5"
    with FeatureWriter(out, make_spec(n_features=2)) as writer:
        columns = (("@note", "+1"),)
        row = Row("=cmd|' /C calc'!A0", b"\xaa" * 16, "-1+2", "a\nb", columns=columns)
        writer.append([row], VALUES[:1])
        writer.finish()
    export(out, tmp_path / "x.csv")
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert len(lines) == 2
    for text in ("'=cmd", "'-1+2", "'+1"):
        assert f",{text}" in f",{lines[1]}"
    assert ",'@note," in lines[0]


@pytest.mark.parametrize("suffix", [".parquet", ".npz", ".csv"])
def test_whole_or_not_at_all(tmp_path: Path, suffix: str) -> None:
    """A damaged file is not exported, and an existing output needs `overwrite`."""
    path, out = filled(tmp_path / "out.h5"), tmp_path / f"x{suffix}"
    part = part_paths(path)[0]
    data = part.read_bytes()
    part.write_bytes(data.replace(VALUES[1].tobytes(), VALUES[0].tobytes()))
    with pytest.raises(RefusedFileError, match="checksum"):
        export(path, out)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["out.h5"]
    part.write_bytes(data)
    export(path, out)
    with pytest.raises(OutputExistsError):
        export(path, out)
    export(path, out, overwrite=True)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    """The error for an unknown suffix lists the known formats."""
    with pytest.raises(UsageError, match=r"Known: \.csv, \.npz, \.parquet"):
        export(filled(tmp_path / "out.h5"), tmp_path / "x.xlsx")
