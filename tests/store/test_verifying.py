"""Tests of verifying feature files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.features import Failure
from clipfeat.store import FeatureWriter, Row, export, merge_files, verify
from clipfeat.store.exporting import EXPORTERS
from clipfeat.store.format import KEY, checksum
from clipfeat.store.reading import part_paths
from clipfeat.system.progress import Phase
from tests.conftest import make_spec

SPEC = make_spec(n_features=3)


def filled(path: Path) -> Path:
    """Return a file with two identical images, another one, a failure, and a part with a row."""
    with FeatureWriter(path, SPEC) as writer:
        rows = [
            Row("a", bytes(15) + b"\1", "cat"),
            Row("b", bytes(15) + b"\1"),
            Row("c", b"c" * 16),
        ]
        writer.append(rows, np.array([[1, 2, 3], [1, 2, 3], [4, 5, 6]], dtype=np.float32))
        writer.fail(Failure("x", "DecodeError", "bad", b"x" * 16))
        writer.finish()
    with FeatureWriter(path, SPEC) as writer:
        writer.append([Row("d", b"d" * 16, columns=(("site", "ü"),))], np.ones((1, 3), "f4"))
    return path


def test_a_whole_file_passes(tmp_path: Path) -> None:
    """The report of an intact file counts rows, parts and failures."""
    path = filled(tmp_path / "out.h5")
    report = verify(path)
    size = path.stat().st_size + part_paths(path)[0].stat().st_size
    assert (report.n_rows, report.n_parts, report.n_failures, report.n_bytes) == (4, 1, 1, size)


def test_an_empty_file_passes(tmp_path: Path) -> None:
    """A file without rows is valid."""
    with FeatureWriter(tmp_path / "out.h5", SPEC) as writer:
        writer.finish()
    assert verify(tmp_path / "out.h5").n_rows == 0


def put(name: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Replace a dataset together with its checksum."""

    def damage(h5: Any) -> None:
        values = change(h5[name][()])
        del h5[name]
        h5.create_dataset(name, data=values).attrs["crc32"] = np.uint32(checksum(values))

    return damage


def edited(values: Any, row: int, value: Any) -> Any:
    values[row] = value
    return values


def flip(h5: Any) -> None:
    h5["file_size"][0] = 77


def other_encoder(h5: Any) -> None:
    h5.attrs["encoder"] = np.bytes_(make_spec(n_features=3, layer="first").to_json())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, "the checksum of 'file_size' does not match"),
        (other_encoder, "the encoder and its fingerprint disagree"),
        (put("labels", lambda v: edited(v, 0, 9)), "labels must be indices of"),
        (put("labels", lambda v: v[:2]), "differ in length"),
        (
            put("keys", lambda v: np.zeros(3, "<i4")),
            "'keys' must have the type opaque of 16 bytes, got integer of 4 bytes",
        ),
        (put("features", lambda v: edited(v, 1, 7)), "two rows with key 0{31}1 have different"),
        (put("features", lambda v: edited(v, 2, np.nan)), "features of row 2 are not finite"),
        (
            put("features", lambda v: v.astype("f8")),
            "'features' must have the type float of 2 bytes or float",
        ),
        (
            put("features", lambda v: v[:, :2].copy()),
            "has 2 features per row, but its encoder has 3",
        ),
        (put("paths", lambda v: edited(v, 1, b"a")), "the path a occurs twice"),
        (put("paths", lambda v: edited(v, 1, b"\xff")), "is damaged: .*utf-8"),
        (
            put("failures/key", lambda v: np.zeros(2, KEY)),
            "path, key, reason, message differ in length",
        ),
    ],
)
def test_each_kind_of_damage_is_named(
    tmp_path: Path, damage: Callable[[Any], None], message: str
) -> None:
    """The error names the file and the fault, even if the checksums match."""
    path = filled(tmp_path / "out.h5")
    with h5py.File(path, "a") as h5:
        damage(h5)
    with pytest.raises(RefusedFileError, match=rf"out\.h5.*{message}"):
        verify(path)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    """Parts are verified like the snapshot."""
    part = part_paths(filled(tmp_path / "out.h5"))[0]
    with h5py.File(part, "a") as h5:
        h5["features"][0, 0] = 5
    with pytest.raises(RefusedFileError, match=part.name):
        verify(tmp_path / "out.h5")


def test_rows_are_counted(tmp_path: Path) -> None:
    """Verifying, exporting and merging report their progress in rows."""
    path = filled(tmp_path / "out.h5")
    seen: list[Phase] = []
    verify(path, progress=seen.append)
    for suffix in EXPORTERS:
        export(path, tmp_path / f"out{suffix}", progress=seen.append)
    merge_files([path], tmp_path / "all.h5", progress=seen.append)
    last = {one.name: (one.done, one.total) for one in seen}
    assert last == dict.fromkeys(("verifying", "exporting", "merging"), (4, 4))
