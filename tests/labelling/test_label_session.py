"""Tests of the labelling session of one person in a running application."""

import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat.errors import DataError, StorageError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.features.decisions import Decision
from clipfeat.labelling import label_session
from clipfeat.labelling.label_log import append_decisions, read_decisions
from clipfeat.labelling.label_session import LabelSession, last_decided
from tests.conftest import make_features


@pytest.fixture
def unlabelled() -> FeatureSet:
    features = make_features(30)
    return replace(features, y=np.full(60, -1), classes=("real", "fake"))


def test_decisions_are_saved_and_leave_the_queue(unlabelled: FeatureSet, tmp_path: Path) -> None:
    """Every decision is saved, and labelled images leave the queue."""
    file = tmp_path / "labels.csv"
    session = LabelSession(unlabelled, file, " ann ")
    assert session.state().pending == []
    session.refit()
    assert session.wait(30)
    state = session.state()
    assert (state.annotator, state.classes) == ("ann", ["real", "fake"])
    assert (len(state.pending), state.n_fitted, state.can_undo) == (60, 0, False)
    assert state.pending[0].margin is None
    for image in state.pending[:20]:
        session.decide(image.row, image.path.partition("/")[0])
        assert read_decisions(file)[-1].path == image.path
    state = session.state()
    assert len(state.pending) == 40
    assert state.counts == Counter(one.label for one in read_decisions(file))
    assert state.n_labelled == 20
    session.refit()
    assert session.wait(30)
    state = session.state()
    assert state.n_fitted == 20
    assert len(state.pending) == 40
    margins = [one.margin or 0 for one in state.pending]
    assert margins == sorted(margins)
    assert {one.predicted for one in state.pending} <= {"real", "fake"}


def test_undo_and_skip(unlabelled: FeatureSet, tmp_path: Path) -> None:
    """An undone image comes back first, even after a restart. A skipped one does not."""
    file = tmp_path / "labels.csv"
    session = LabelSession(unlabelled, file, "ann")
    with pytest.raises(DataError, match="no decision to undo"):
        session.undo()
    session.refit()
    session.wait(30)
    first, second, third = session.state().pending[:3]
    session.decide(first.row, "real")
    session.skip(second.row)
    assert session.state().pending[0] == third
    session.decide(third.row, "fake")
    assert session.undo() == third.row
    assert session.state().pending[0] == third
    session = LabelSession(unlabelled, file, "ann")
    assert session.undo() == first.row
    assert [one.path for one in session.state().pending] == [first.path]
    assert session.label_of(first.row) == ""
    assert not session.state().can_undo


def test_two_people_share_a_file(unlabelled: FeatureSet, tmp_path: Path) -> None:
    """Decisions of other people count after a refit. Undo affects only one's own."""
    file = tmp_path / "labels.csv"
    ann, bob = (LabelSession(unlabelled, file, name) for name in ("ann", "bob"))
    ann.decide(0, "real")
    bob.decide(40, "fake")
    bob.refit()
    bob.wait(30)
    state = bob.state()
    assert state.n_fitted == 2
    assert state.n_labelled == 2
    assert state.counts == {"fake": 1}
    assert not {0, 40} & {one.row for one in state.pending}
    assert bob.undo() == 40
    assert bob.label_of(0) == "real"


def test_contested_images_leave_room_in_the_queue(tmp_path: Path) -> None:
    """The queue has no image that this person has labelled, even if others disagree."""
    features = replace(make_features(90), y=np.full(180, -1), classes=("real", "fake"))
    file = tmp_path / "labels.csv"
    append_decisions(file, [Decision(path, label, who) for who, label in
                            (("ann", "real"), ("bob", "fake"))
                            for path in features.paths[20:160].tolist()])  # fmt: skip
    append_decisions(file, [Decision(path, "real", "bob") for path in features.paths[:4].tolist()])
    session = LabelSession(features, file, "ann")
    session.refit()
    assert session.wait(30)
    assert {one.row for one in session.state().pending} == {*range(4, 20), *range(160, 180)}


def test_undos_of_two_threads(
    unlabelled: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two concurrent undos take back two different decisions."""
    session = LabelSession(unlabelled, tmp_path / "labels.csv", "ann")
    session.decide(0, "real")
    session.decide(1, "real")
    both = threading.Barrier(2)

    def last(*args: Any) -> str | None:
        path = last_decided(*args)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # both threads are here only if no lock is held
        return path

    monkeypatch.setattr(label_session, "last_decided", last)
    undone: list[int] = []
    threads = [threading.Thread(target=lambda: undone.append(session.undo())) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(undone) == [0, 1]


def test_feature_files_share_a_file(unlabelled: FeatureSet, tmp_path: Path) -> None:
    """An undo ignores decisions for another feature file, and its classes get no keys."""
    file = tmp_path / "labels.csv"
    append_decisions(file, [Decision("elsewhere.png", "odd", "ann")])
    session = LabelSession(unlabelled, file, "ann")
    assert session.classes == ["real", "fake"]
    assert not session.state().can_undo
    with pytest.raises(DataError, match="no decision to undo"):
        session.undo()
    assert len(read_decisions(file)) == 1


def test_new_classes_and_wrong_requests(unlabelled: FeatureSet, tmp_path: Path) -> None:
    """A class can be added. Invalid rows and names are errors that change nothing."""
    features = replace(unlabelled, classes=())
    file = tmp_path / "labels.csv"
    append_decisions(file, [Decision("elsewhere.png", "odd", "bob")])
    session = LabelSession(features, file, "ann")
    session.add_class(" cat ")
    session.add_class("cat")
    session.add_class("ant")
    session.decide(0, "ant")
    session.decide(1, "cat")
    assert session.classes == ["cat", "ant"]  # each has a key
    before = file.read_bytes()
    for row, label in ((60, "cat"), (-1, "cat"), (0, ""), (0, "a\nb")):
        with pytest.raises(UsageError):
            session.decide(row, label)
    with pytest.raises(UsageError, match="annotator"):
        LabelSession(features, file, " ")
    assert file.read_bytes() == before
    file.unlink()
    file.mkdir()
    with pytest.raises(StorageError):
        session.decide(0, "cat")
    assert session.state().counts == {"ant": 1, "cat": 1}


def test_decisions_go_on_during_a_fit(
    unlabelled: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision does not wait for the classifier, and a second refit starts no second fit."""
    go = threading.Event()
    calls = []

    def slow(*args: object, **kwargs: object) -> None:
        calls.append(args)
        go.wait(30)
        raise DataError("no queue today")

    session = LabelSession(unlabelled, tmp_path / "labels.csv", "ann")
    monkeypatch.setattr(label_session, "label_queue", slow)
    session.refit()
    session.refit()
    session.decide(3, "real")
    assert session.state().is_fitting
    assert session.label_of(3) == "real"
    go.set()
    assert session.wait(30)
    assert len(calls) == 1
    assert session.state().error == "no queue today"


def test_a_decision_belongs_to_one_of_two_images_with_its_path(
    unlabelled: FeatureSet, tmp_path: Path
) -> None:
    """Two feature files can share a label file, because decisions contain the content hash."""
    file = tmp_path / "labels.csv"
    other_keys = np.array([f"{i + 999:032x}".encode() for i in range(60)])
    other_keys[0] = unlabelled.keys[0]
    others = replace(unlabelled, keys=other_keys)
    first = LabelSession(unlabelled, file, "ann", name="a.h5")
    first.decide(0, "real")
    first.decide(1, "real")
    second = LabelSession(others, file, "ann", name="b.h5")
    assert [second.label_of(row) for row in (0, 1)] == ["real", ""]
    assert second.state().n_others == 1
    second.decide(1, "fake")
    assert [one.label_of(1) for one in (first, second)] == ["real", "fake"]
    again = LabelSession(unlabelled, file, "ann", name="a.h5")
    assert [again.label_of(row) for row in (0, 1)] == ["real", "real"]
    assert again.undo() == 1
    assert LabelSession(others, file, "ann", name="b.h5").label_of(1) == "fake"


def test_a_class_keeps_its_key(unlabelled: FeatureSet, tmp_path: Path) -> None:
    """A class keeps its key after restarts, and if other classes are added."""
    file = tmp_path / "labels.csv"
    session = LabelSession(unlabelled, file, "ann")
    session.add_class("odd")
    append_decisions(file, [Decision(str(unlabelled.paths[5]), "early", "bob", "2020-01-01")])
    session.decide(0, "new")
    session.refit()
    assert session.wait(30)
    order = session.classes
    assert order == ["real", "fake", "odd", "new", "early"]
    session.decide(1, "real")
    session.undo()
    more = replace(unlabelled, classes=("animal", "real", "fake"))
    for features in (unlabelled, more, replace(unlabelled, classes=("fake",))):
        restarted = LabelSession(features, file, "ann")
        assert restarted.classes[:5] == order
        assert restarted.classes[5:] == [one for one in features.classes if one == "animal"]
    other = LabelSession(unlabelled, file, "ann", name="other.h5")
    assert other.classes == ["real", "fake", "early", "new"]
