"""Tests of writing and reading feature files."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.errors import (
    FingerprintError,
    LockedError,
    RefusedFileError,
    StorageError,
    UsageError,
)
from clipfeat.features import Failure
from clipfeat.store import FeatureWriter, Row, feature_files_in, load, open_stored
from clipfeat.store.reading import part_paths
from clipfeat.store.stat_cache import cache_path
from clipfeat.system.escaping import MAX_IMAGE_TEXT
from clipfeat.system.files import temporary_name
from tests.conftest import make_spec

SPEC = make_spec(n_features=3)


def key(number: int) -> bytes:
    return number.to_bytes(16)


def row(path: str, number: int, label: str = "", **more: Any) -> Row:
    return Row(path, key(number), label, height=4, width=5, file_size=9, format="PNG", **more)


def values(*numbers: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return features that identify their image."""
    return np.array([[n, n + 0.5, -n] for n in numbers], dtype=np.float32)


events = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.integers(1, 4), st.sampled_from(["row", "fail", "cut"])
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(events, st.booleans())
def test_the_last_of_a_path_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int, str]], merge: bool
) -> None:
    """The last write of a path counts, for any order of rows, failures and commits."""
    path = tmp_path_factory.mktemp("store") / "out.h5"
    expected: dict[str, int | None] = {}
    with FeatureWriter(path, SPEC) as writer:
        for name, number, event in events:
            if event == "cut":
                writer.commit()
            elif event == "row":
                writer.commit()  # a path is in a segment once
                writer.append([row(name, number)], values(number))
                expected[name] = number
            else:
                writer.commit()
                writer.fail(Failure(name, "DecodeError", "bad", key(number)))
                expected[name] = None
        if merge:
            assert writer.finish() == sum(n is not None for n in expected.values())
    if not expected and not merge:
        return
    features = load(path)
    assert {p: int(x[0]) for p, x in zip(features.paths, features.X, strict=True)} == {
        p: n for p, n in expected.items() if n is not None
    }
    assert {f.path for f in features.failures} == {p for p, n in expected.items() if n is None}


def filled(path: Path) -> Path:
    with FeatureWriter(path, SPEC, root="/photos") as writer:
        about = (("split", "train"), ("site", "ü x"))
        writer.append([row("a/1 é.png", 1, "cat", group="g", columns=about), row("b", 2, "dog")],
                      values(1, 2))  # fmt: skip
        writer.fail(Failure("c.png", "DecodeError", "truncated\nfile", key(3)))
        writer.fail(Failure("d.png", "ReadError", "gone"))
        writer.finish()
    return path


def test_everything_comes_back(tmp_path: Path) -> None:
    """Labels, groups, columns, sizes and failures in any script are read back unchanged."""
    features = load(filled(tmp_path / "out.h5"))
    assert np.array_equal(features.X, values(1, 2))
    assert features.labels.tolist() == ["cat", "dog"]
    assert features.paths.tolist() == ["a/1 é.png", "b"]
    assert features.keys.tolist() == [key(1).hex().encode(), key(2).hex().encode()]
    assert features.groups is not None
    assert features.groups.tolist() == ["g", ""]
    assert features.columns["site"].tolist() == ["ü x", ""]
    assert features.columns["split"].tolist() == ["train", ""]
    assert features.specs == (SPEC,)
    assert features.failures == (
        Failure("c.png", "DecodeError", "truncated\nfile", key(3)),
        Failure("d.png", "ReadError", "gone"),
    )


def test_the_longest_written_text_can_be_read(tmp_path: Path) -> None:
    """One long label among many small rows is accepted by the writer, and so by the reader."""
    spec, n = make_spec(n_features=1), 20_000
    labels = ["x" * MAX_IMAGE_TEXT, *["real"] * (n - 1)]
    rows = [Row(f"{i}.png", i.to_bytes(16, "big"), label) for i, label in enumerate(labels)]
    with FeatureWriter(tmp_path / "out.h5", spec) as writer:
        writer.append(rows, np.zeros((n, 1), dtype=np.float32))
        writer.finish()
    with open_stored(tmp_path / "out.h5") as stored:
        assert stored.n_rows == n


def test_a_long_text_of_few_rows_does_not_fill_the_memory(tmp_path: Path) -> None:
    """One long class or path, which would make the texts of all rows as long, is refused."""
    n = 20_000
    about = {"long class": ["x" * 60_000] * n, "long path of a part": ["x"] * n}
    for name, labels in about.items():
        path = tmp_path / f"{name}.h5"
        with FeatureWriter(path, SPEC) as writer:
            rows = [row(f"{i}.png", i, label) for i, label in enumerate(labels)]
            writer.append(rows, np.zeros((n, 3), dtype=np.float32))
            writer.commit()
            if name == "long path of a part":
                writer.append([row("y" * 60_000, n)], values(n))
                writer.commit()
        with pytest.raises(RefusedFileError, match=r"has 60000 bytes\. Restore"):
            load(path)


def test_plain_h5py_reads_it(tmp_path: Path) -> None:
    """Plain h5py can read the array, the paths and the JSON attributes."""
    with h5py.File(filled(tmp_path / "out.h5")) as h5:
        assert np.array_equal(h5["features"][:], values(1, 2))
        assert h5["paths"].asstr()[:].tolist() == ["a/1 é.png", "b"]
        assert json.loads(h5.attrs["encoder"])["name"] == "spectrum"
        assert h5.attrs["complete"] == 1

        def check(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                assert item.chunks is None
                assert item.compression is None
                assert "crc32" in item.attrs

        h5.visititems(check)


def test_tables_and_h5ls_read_it(tmp_path: Path) -> None:
    """Pandas can read the columns, and h5dump can list the file."""
    path = filled(tmp_path / "out.h5")
    with h5py.File(path) as h5:
        table = pd.DataFrame({"path": h5["paths"].asstr()[:], "size": h5["file_size"][:]})
    assert table.values.tolist() == [["a/1 é.png", 9], ["b", 9]]
    if h5ls := shutil.which("h5ls"):
        listed = subprocess.run([h5ls, path], capture_output=True, text=True, check=True).stdout
        assert "features                 Dataset {2, 3}" in listed


def test_version_1_is_read_for_ever() -> None:
    """A file of format version 1 is still read."""
    features = load(Path(__file__).parent / "files" / "version-1.h5")
    assert np.array_equal(features.X, values(1, 2))
    assert features.labels.tolist() == ["cat", "dog"]
    assert features.columns["site"].tolist() == ["ü x", ""]
    assert [failure.reason for failure in features.failures] == ["DecodeError", "ReadError"]
    assert features.specs[0].fingerprint == "9a5548a1361f12254b709c9be9094248"


def test_one_file_is_left(tmp_path: Path) -> None:
    """A finished run leaves only the snapshot."""
    filled(tmp_path / "out.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]


def test_committed_rows_are_read_before_any_merge(tmp_path: Path) -> None:
    """Rows of an interrupted run can be read, and the next run continues."""
    path = tmp_path / "out.h5"
    with FeatureWriter(path, SPEC) as writer:
        writer.append([row("a", 1, "x")], values(1))
        writer.commit()
        assert load(path).paths.tolist() == ["a"]
        writer.append([row("b", 2)], values(2))
    assert not path.exists()
    assert load(path).paths.tolist() == ["a", "b"]
    assert feature_files_in(tmp_path) == [path]
    with FeatureWriter(path, SPEC) as writer:
        assert writer.holds(key(1))
        assert not writer.confirm(row("a", 1, "y"))
        assert writer.settled_key("a") is None
        assert writer.confirm(row("a", 1, "x"))
        assert writer.settled_key("a") == key(1)
        writer.finish()
    assert part_paths(path) == []
    assert load(path).paths.tolist() == ["a", "b"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_merge_while_a_part_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A reader gets every row, even if a merge removes a part that it opens."""
    path = tmp_path / "out.h5"
    with FeatureWriter(path, SPEC) as writer:
        writer.append([row("a", 1)], values(1))
        writer.commit()
    real, merged = h5py.File, []

    def merge() -> None:
        merged.append(True)
        with FeatureWriter(path, SPEC) as writer:
            writer.finish()

    def file(name: Any, *args: Any, **kwargs: Any) -> Any:
        disturbed = not merged and f"{path}.parts" in str(name)
        if disturbed and moment == "before":
            merge()
        h5 = real(name, *args, **kwargs)
        if disturbed and moment == "after":
            merge()
        return h5

    monkeypatch.setattr("clipfeat.store.one_file.h5py.File", file)
    assert load(path).paths.tolist() == ["a"]
    assert merged


def test_what_a_killed_writer_left_is_tidied_up(tmp_path: Path) -> None:
    """The next run removes temporary files, but only of this feature file."""
    path = filled(tmp_path / "out.h5")
    parts = tmp_path / "out.h5.parts"
    parts.mkdir()
    beside = (path, cache_path(path), parts / "1.h5", tmp_path / "about.h5")
    left = [temporary_name(each) for each in beside]
    for each in left:
        each.touch()
    with FeatureWriter(path, SPEC) as writer:
        writer.finish()
    assert [each for each in left if each.exists()] == left[-1:]


def test_known_bytes_get_a_row_without_encoding(tmp_path: Path) -> None:
    """A known image under a new path gets the stored features and metadata."""
    path = filled(tmp_path / "out.h5")
    with FeatureWriter(path, SPEC) as writer:
        writer.append_known([Row("copy", key(2), "dog"), Row("b", key(2), "wolf")])
        writer.finish()
    features = load(path)
    assert dict(zip(features.paths.tolist(), features.labels.tolist(), strict=True)) == {
        "a/1 é.png": "cat", "copy": "dog", "b": "wolf",
    }  # fmt: skip
    assert np.array_equal(features.X, values(1, 2, 2))
    with open_stored(path) as stored:
        assert stored.column("image_size").tolist() == [[4, 5]] * 3


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    """The error lists the differences. Overwriting is allowed."""
    path = filled(tmp_path / "out.h5")
    other = make_spec(n_features=3, layer="first")
    with pytest.raises(FingerprintError, match="layer: 'last', not 'first'"):
        FeatureWriter(path, other)
    assert len(load(path)) == 2
    with FeatureWriter(path, other, overwrite=True) as writer:
        writer.finish()
    assert load(path).specs == (other,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_size": (4104, 4104)}, "input_size must have 0 to 16777216 pixels"),
        ({"crop_pct": 1e-5}, "resized images must have at most"),
        ({"std": (1.0, 0.0, 1.0)}, "the numbers of std must be positive"),
    ],
)
def test_a_spec_that_no_reader_accepts_is_not_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """The error comes before the images are encoded, and no file is written."""
    with pytest.raises(UsageError, match=f"cannot be stored, because .*{message}"):
        FeatureWriter(tmp_path / "out.h5", make_spec(**changes))
    assert not list(tmp_path.iterdir())


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second writer fails immediately, with the name of the first."""
    path = tmp_path / "out.h5"
    with FeatureWriter(path, SPEC) as writer:
        with pytest.raises(LockedError, match=r"written by process \d+ on "):
            FeatureWriter(path, SPEC)
        writer.append([row("a", 1)], values(1))
        writer.finish()
    assert len(load(path)) == 1


def test_half_precision_is_kept(tmp_path: Path) -> None:
    """A float16 file is stored as float16 and loaded as float32."""
    path = tmp_path / "out.h5"
    with FeatureWriter(path, make_spec(n_features=3, precision="bf16")) as writer:
        writer.append([row("a", 1)], values(1))
        writer.finish()
    with h5py.File(path) as h5:
        assert h5["features"].dtype == np.float16
    assert load(path).X.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a complete HDF5 file"),
        (b"text", "not a complete HDF5"),
        (None, "no such feature file"),
    ],
)
def test_what_is_no_feature_file_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """Empty, foreign and missing files are errors that name the file."""
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RefusedFileError, match=message):
        load(path)


def test_other_hdf5_is_refused(tmp_path: Path) -> None:
    """Other, newer and incomplete HDF5 files are refused and not changed."""
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as h5:
        h5["data"] = [1, 2]
    with pytest.raises(RefusedFileError, match="not a feature file"):
        FeatureWriter(foreign, SPEC)
    later = filled(tmp_path / "later.h5")
    with h5py.File(later, "a") as h5:
        h5.attrs["version"] = 2
    with pytest.raises(RefusedFileError, match="version 2"):
        load(later)
    partial = filled(tmp_path / "partial.h5")
    with h5py.File(partial, "a") as h5:
        del h5["keys"]
    with pytest.raises(RefusedFileError, match="no dataset 'keys'"):
        load(partial)


def test_a_full_disk_keeps_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed write is a `StorageError`, and loses no committed row."""
    path = tmp_path / "out.h5"
    with FeatureWriter(path, SPEC) as writer:
        writer.append([row("a", 1)], values(1))
    from clipfeat.system import files

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(StorageError, match="No space left"), FeatureWriter(path, SPEC) as writer:
        writer.append([row("b", 2)], values(2))
        writer.commit()
    monkeypatch.undo()
    assert load(path).paths.tolist() == ["a"]
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("name", ["h/w", ".", "a.b", "..", "ü %2F", "split by"])
def test_columns_of_any_name(tmp_path: Path, name: str) -> None:
    """Column names may contain slashes and dots."""
    path = tmp_path / "out.h5"
    with FeatureWriter(path, SPEC) as writer:
        writer.append([row("a", 1, columns=((name, "x"),))], values(1))
        writer.finish()
    assert load(path).columns[name].tolist() == ["x"]


def test_overwriting_keeps_the_old_until_the_new_is_whole(tmp_path: Path) -> None:
    """An interrupted replacement keeps the old file, and can be resumed."""
    path = filled(tmp_path / "out.h5")
    other = make_spec(n_features=3, layer="first")
    with FeatureWriter(path, other, overwrite=True) as writer:
        writer.append([row("n", 5)], values(5))
    assert load(path).specs == (SPEC,)
    with FeatureWriter(path, other, overwrite=True) as writer:
        assert writer.holds(key(5))
        writer.finish()
    assert load(path).paths.tolist() == ["n"]
    assert [p.name for p in tmp_path.iterdir()] == ["out.h5"]


def test_two_folders_do_not_mix(tmp_path: Path) -> None:
    """A second root is refused, unless the folder was moved."""
    path = tmp_path / "out.h5"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    with FeatureWriter(path, SPEC, root=str(tmp_path / "a")) as writer:
        writer.append([row("x", 1)], values(1))
        writer.finish()
    with pytest.raises(UsageError, match="holds images of"):
        FeatureWriter(path, SPEC, root=str(tmp_path / "b"))
    (tmp_path / "a").rmdir()
    with FeatureWriter(path, SPEC, root=str(tmp_path / "b")) as writer:
        assert writer.holds(key(1))
