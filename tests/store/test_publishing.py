"""Tests of parts that workers publish without the lock."""

from dataclasses import replace
from pathlib import Path

import pytest

from clipfeat.errors import StorageError
from clipfeat.features import Failure
from clipfeat.store import FeatureWriter, load, writing
from clipfeat.store.format import Segment
from clipfeat.store.reading import part_paths
from tests.store.test_store import SPEC, key, row, values


def test_parts_of_workers_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are read in order and compacted, even if they were never reported."""
    monkeypatch.setattr(writing, "MOST_PARTS", 3)
    out = tmp_path / "out.h5"
    with FeatureWriter(out, SPEC, root="/photos", request="r") as writer:
        publisher = writer.publisher()
        for n in (3, 1, 2, 4, 0, 5):
            segment = Segment(
                values(n), [row(f"{n}.png", n, "cat")], [Failure(f"{n}.bad", "E", "")]
            )
            part = publisher.publish(segment, n)
            assert writer.publisher().publish(segment, n) != part
            if n != 5:
                writer.adopt([part], segment.rows)
                assert writer.holds(key(n))
        # Each part was published twice. Of the five adopted ones, three were compacted into one.
        assert len(part_paths(out)) == 12 - 2
        assert sorted(load(out).paths.tolist()) == [f"{n}.png" for n in range(6)]
        assert writer.finish() == 6
    features = load(out)
    assert {(p, *x) for p, x in zip(features.paths.tolist(), features.X.tolist(), strict=True)} == {
        (f"{n}.png", n, n + 0.5, -n) for n in range(6)
    }
    assert {failure.path for failure in features.failures} == {f"{n}.bad" for n in range(6)}
    assert not part_paths(out)


def test_rows_of_a_later_commit_come_after(tmp_path: Path) -> None:
    """Later commits of the writer replace rows of the workers' parts."""
    out = tmp_path / "out.h5"
    with FeatureWriter(out, SPEC) as writer:
        part = writer.publisher().publish(Segment(values(1), [row("a.png", 1)]), 10**11)
        writer.adopt([part], [row("a.png", 1)])
        writer.append([row("a.png", 2)], values(2))
        writer.commit()
        assert load(out).X[0, 0] == 2
        writer.finish()
    assert load(out).X[0, 0] == 2


def test_equal_bytes_get_equal_rows(tmp_path: Path) -> None:
    """If two workers encode the same image, its rows are equal."""
    out = tmp_path / "out.h5"
    with FeatureWriter(out, SPEC) as writer:
        for n, path in enumerate(("a.png", "b.png")):
            rows = [row(path, 1, "cat"), row(f"other-{path}", n + 5)]
            part = writer.publisher().publish(Segment(values(n, n + 5), rows), n)
            writer.adopt([part], rows)
        writer.equalise({key(1)})
        writer.finish()
    features = load(out)
    of = dict(zip(features.paths.tolist(), features.X[:, 0].tolist(), strict=True))
    assert of["a.png"] == of["b.png"] in (0.0, 1.0)
    assert (of["other-a.png"], of["other-b.png"]) == (5.0, 6.0)


def test_a_folder_of_another_machine_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part in a folder that the driver cannot see is an error."""
    monkeypatch.setattr(writing, "VISIBLE_AFTER", 0.2)
    with FeatureWriter(tmp_path / "out.h5", SPEC) as writer:
        here = writer.publisher()
        segment = Segment(values(1), [row("a.png", 1)])
        (tmp_path / "elsewhere").mkdir()
        part = replace(here, folder=tmp_path / "elsewhere" / "out.h5.parts").publish(segment, 0)
        with pytest.raises(StorageError, match="a folder that all machines share"):
            writer.adopt([part], segment.rows)
        assert not writer.holds(key(1))
        with pytest.raises(StorageError, match="a folder shared by all workers"):
            replace(here, folder=tmp_path / "none" / "out.h5.parts").publish(segment, 0)
