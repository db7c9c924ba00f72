"""Tests of merging several feature files into one."""

from pathlib import Path

import numpy as np
import pytest

from clipfeat.errors import (
    DataError,
    FingerprintError,
    LabelError,
    LockedError,
    OutputExistsError,
)
from clipfeat.features import Failure
from clipfeat.store import FeatureWriter, Row, combining, load, merge_files, open_stored, verify
from tests.conftest import make_spec

SPEC = make_spec(n_features=2)
Images = dict[str, tuple[int, str]]


def write(path: Path, root: str, images: Images, failed: str = "", **changes: object) -> Path:
    """Write a feature file from paths with labels. A number gives each key and its features."""
    spec = make_spec(n_features=2, **changes)  # type: ignore[arg-type]
    with FeatureWriter(path, spec, root=root) as writer:
        rows = [
            Row(name, number.to_bytes(16), label, "g", 4, 5, 9, "PNG", (("split", "train"),))
            for name, (number, label) in images.items()
        ]
        features = [[number, -number] for number, _ in images.values()]
        writer.append(rows, np.array(features, dtype=np.float32).reshape(-1, 2))
        for name in failed:
            writer.fail(Failure(name, "DecodeError", "bad"))
        writer.finish()
    return path


def held(path: Path) -> Images:
    features = load(path)
    names = zip(
        features.paths.tolist(), features.X[:, 0].tolist(), features.labels.tolist(), strict=True
    )
    return {name: (int(number), label) for name, number, label in names}


def test_folders_do_not_collide(tmp_path: Path) -> None:
    """Images with equal names in two folders are two rows, relative to the common folder."""
    a = write(tmp_path / "a.h5", "/data/a", {"1.png": (1, "cat"), "2.png": (2, "dog")})
    b = write(tmp_path / "b.h5", "/data/b", {"1.png": (3, "dog"), "3.png": (1, "")}, failed="x")
    made = merge_files([a, b], tmp_path / "c.h5")
    assert (made.n_rows, made.n_doubled, made.n_failures, made.root) == (4, 0, 1, "/data")
    assert held(made.path) == {
        "a/1.png": (1, "cat"), "a/2.png": (2, "dog"), "b/1.png": (3, "dog"), "b/3.png": (1, ""),
    }  # fmt: skip
    verify(made.path)
    assert load(made.path).failures[0].path == "b/x"
    assert load(made.path).columns["split"].tolist() == ["train"] * 4
    with open_stored(made.path) as stored:
        assert stored.column("image_size").tolist() == [[4, 5]] * 4
        assert stored.newest.text("root") == "/data"
        assert stored.newest.h5.attrs["complete"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5", "c.h5"]


def test_the_same_image_is_there_once(tmp_path: Path) -> None:
    """A path with equal key and label is merged once. A row replaces a failure."""
    a = write(tmp_path / "a.h5", "/data", {"1": (1, "cat")}, failed="2")
    b = write(tmp_path / "b.h5", "/data", {"1": (1, "cat"), "2": (2, "cat")})
    made = merge_files([a, b], tmp_path / "c.h5")
    assert (made.n_rows, made.n_doubled, made.n_failures) == (2, 1, 0)


@pytest.mark.parametrize(("other", "what"), [((2, "cat"), "bytes"), ((1, "dog"), "label")])
def test_contradictions_are_refused_or_settled(
    tmp_path: Path, other: tuple[int, str], what: str
) -> None:
    """Different keys or labels of a path are an error unless `prefer` is given."""
    a = write(tmp_path / "a.h5", "/data", {"1": (1, "cat")})
    b = write(tmp_path / "b.h5", "/data", {"1": other})
    with pytest.raises(DataError, match=rf"a\.h5 and .*b\.h5 differ in the {what} of 1\."):
        merge_files([a, b], tmp_path / "c.h5")
    assert not list(tmp_path.glob("*c.h5*"))
    merge_files([a, b], tmp_path / "c.h5", prefer="first")
    assert held(tmp_path / "c.h5") == {"1": (1, "cat")}
    merge_files([a, b], tmp_path / "c.h5", prefer="last", overwrite=True)
    assert held(tmp_path / "c.h5") == {"1": other}


def test_other_encoders_and_taken_outputs_are_refused(tmp_path: Path) -> None:
    """Files of two encoders are refused, and an existing output needs `overwrite`."""
    a = write(tmp_path / "a.h5", "/data", {"1": (1, "")})
    b = write(tmp_path / "b.h5", "/data", {"2": (2, "")}, layer="first")
    with pytest.raises(FingerprintError, match="layer: 'last', not 'first'"):
        merge_files([a, b], tmp_path / "c.h5")
    with pytest.raises(OutputExistsError):
        merge_files([a], b)


def test_a_file_may_take_in_another(tmp_path: Path) -> None:
    """One of the inputs can be the output."""
    a = write(tmp_path / "a.h5", "/data", {"1": (1, "")})
    b = write(tmp_path / "b.h5", "/data", {"2": (2, "")})
    merge_files([a, b], a, overwrite=True)
    assert held(a) == {"1": (1, ""), "2": (2, "")}


def test_what_an_interrupted_merge_left_is_not_taken_up(tmp_path: Path) -> None:
    """A merge deletes the rows that a killed merge left in the same file."""
    with FeatureWriter(tmp_path / "c.h5", SPEC, root="/data", overwrite=True) as writer:
        rows = [Row("1", (1).to_bytes(16)), Row("old", (7).to_bytes(16))]
        writer.append(rows, np.full((2, 2), 99, dtype=np.float32))
    a = write(tmp_path / "a.h5", "/data", {"1": (1, ""), "2": (1, "")})
    merge_files([a], tmp_path / "c.h5")
    assert held(tmp_path / "c.h5") == {"1": (1, ""), "2": (1, "")}


def test_classes_of_several_files(tmp_path: Path) -> None:
    """Numbers and truth values are one class. Other spellings are errors or merged."""
    a = write(tmp_path / "a.h5", "/d", {"1.png": (1, "1"), "2.png": (2, "0")})
    b = write(tmp_path / "b.h5", "/d", {"1.png": (1, "True"), "3.png": (3, "0.0")})
    assert merge_files([a, b], tmp_path / "ab.h5").n_doubled == 1
    assert held(tmp_path / "ab.h5") == {"1.png": (1, "1"), "2.png": (2, "0"), "3.png": (3, "0")}
    c = write(tmp_path / "c.h5", "/d", {"1.png": (1, "Cat"), "2.png": (2, "dog")})
    d = write(tmp_path / "d.h5", "/d", {"1.png": (1, "cat"), "3.png": (3, "cat")})
    with pytest.raises(LabelError, match=r"'Cat' \(1 images\), 'cat' \(2 images\)"):
        merge_files([c, d], tmp_path / "cd.h5")
    merge_files([c, d], tmp_path / "cd.h5", merge_labels=True)
    assert {label for _, label in held(tmp_path / "cd.h5").values()} == {"cat", "dog"}
    assert load(c, merge_labels=True).classes == ("Cat", "dog")


def test_no_other_command_writes_while_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output is locked while inputs are read, so that no committed row is lost."""
    a = write(tmp_path / "a.h5", "/data", {"1": (1, "cat")})
    b = write(tmp_path / "b.h5", "/data", {"2": (2, "dog")})
    rebased = combining.rebased

    def rebase_slowly(roots: list[str]) -> tuple[str, list[str]]:
        with pytest.raises(LockedError, match="is being written by process"):
            write(a, "/data", {"3": (3, "cat")})
        return rebased(roots)

    monkeypatch.setattr(combining, "rebased", rebase_slowly)
    merge_files([a, b], a, overwrite=True)
    assert held(a) == {"1": (1, "cat"), "2": (2, "dog")}
    write(a, "/data", {"3": (3, "cat")})
    assert held(a).keys() == {"1", "2", "3"}
