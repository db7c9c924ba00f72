"""Tests of the limits that stop model files from taking much memory or time."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat.cli.info import info
from clipfeat.ensemble import SoftVotingClassifier
from clipfeat.errors import RefusedFileError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.model import load_model
from clipfeat.model.codecs import decode
from clipfeat.model.container import Array, DamagedModelError, read_container, write_container
from tests.conftest import make_features

LABELS = [0, 1]
DUMMY = {"kind": "DummyClassifier", "classes": [0]}


def trees(n: int, children: Array) -> dict[str, Array]:
    """Return the arrays of `n` trees with the given children."""
    left, right = np.tile(children.astype(np.int32), n)
    return {
        "estimator/sizes": np.full(n, len(children[0]), np.int32),
        "estimator/left": left,
        "estimator/right": right,
        "estimator/feature": np.where(left < 0, -1, 0).astype(np.int32),
        "estimator/value": np.zeros(len(left), np.float32),
    }


def test_a_node_of_a_tree_is_the_child_of_one_node() -> None:
    """Trees whose nodes share a child are refused."""
    node = {"kind": "OrderedForestClassifier", "classes": LABELS}
    leaves = {"estimator/leaves": np.array([[1, 0], [0, 1]], np.float32)}
    shared = np.array([[1, 2, -1, -1], [3, 3, -1, -1]])
    with pytest.raises(DamagedModelError, match="two nodes have the same child"):
        decode(node, trees(1, shared) | leaves, 4)
    leaves["estimator/leaves"] = np.tile(np.eye(3, 2, dtype=np.float32), (2, 1))
    own = np.array([[1, 2, -1, -1, -1], [4, 3, -1, -1, -1]])
    assert len(decode(node, trees(2, own) | leaves, 4).estimators_) == 2


@pytest.mark.parametrize("kind", ["Pipeline", "BaggedClassifier"])
def test_numbers_of_nodes_and_steps_are_limited(kind: str) -> None:
    """Pipelines of thousands of steps, and files of too many nodes, are refused."""
    n = 21 if kind == "Pipeline" else 10_000
    steps = [{"kind": "Normalizer"}] * n
    names = [str(number) for number in range(n)]
    fields = {"names": names, "steps": steps} if kind == "Pipeline" else {"estimators": steps}
    if kind != "Pipeline":
        fields["classes"] = LABELS
    with pytest.raises(DamagedModelError, match=r"at most 20 steps|more than 10,000 nodes"):
        decode({"kind": kind, **fields}, {}, 4)


def test_number_of_trees_is_limited() -> None:
    """Too many trees are refused before they are built."""
    node = {"kind": "BoostedTreesClassifier", "classes": LABELS, "scores": "margins"}
    arrays = trees(100_001, np.array([[-1], [-1]]))
    arrays["estimator/baseline"] = np.zeros(1, np.float32)
    with pytest.raises(DamagedModelError, match="more than 100,000 trees"):
        decode(node, arrays, 4)


def test_members_times_classes_are_limited() -> None:
    """The product of members and classes is limited."""
    n = 21
    node = {
        "kind": "SoftVotingClassifier",
        "classes": list(range(100_000)),
        "names": [str(number) for number in range(n)],
        "estimators": [DUMMY] * n,
    }
    arrays = {f"estimator/estimators/{number}/prior": np.ones(1) for number in range(n)}
    with pytest.raises(DamagedModelError, match="21 members for 100000 classes"):
        decode(node, arrays, 4)


def test_a_vote_holds_one_member_in_memory() -> None:
    """A vote predicts with one member at a time, and adds up the probabilities."""
    alive: list[int] = []

    class Tracked(np.ndarray):
        def __del__(self) -> None:
            alive.append(-1)

    class Member:
        classes_ = np.arange(2)

        def predict_proba(self, X: Array) -> Array:
            alive.append(1)
            assert sum(alive) <= 2
            return np.full((len(X), 2), 0.5).view(Tracked)

    vote = SoftVotingClassifier([(str(i), Member()) for i in range(5)])
    vote.classes_, vote.estimators_ = np.arange(2), dict(vote.estimators)
    assert vote.predict_proba(np.zeros((3, 4))).tolist() == [[0.5, 0.5]] * 3


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = fit(make_features(), "logreg", cv=2)
    return model.save(tmp_path_factory.mktemp("model") / "model.clipfeat")


def rewritten(saved: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    description, arrays = read_container(saved)
    change(description)
    write_container(folder / "changed.clipfeat", description, arrays)
    return folder / "changed.clipfeat"


@pytest.mark.parametrize(
    "changes",
    [
        {"value": "x"}, {"value": 2**63}, {"value": True}, {"metric": None}, {"classifier": [1]},
        {"encoder": {}}, {"seed": [1]}, {"fold": -1}, {"seconds": "x"}, {"n_train": "q"},
        {"tested_on": 5}, {"other": 1},
    ],
)  # fmt: skip
def test_fields_of_scores_are_checked(changes: dict[str, Any], saved: Path, tmp_path: Path) -> None:
    """A score with an unknown field or a value of the wrong type is refused."""
    path = rewritten(saved, tmp_path, lambda d: d["scores"][3].update(changes))
    with pytest.raises(RefusedFileError, match=f"{next(iter(changes))!r} in row 3 of 'scores'"):
        load_model(path)


def test_scores_need_their_fields(saved: Path, tmp_path: Path) -> None:
    """A score without fields is refused."""
    path = rewritten(saved, tmp_path, lambda d: d.update(scores=[{}]))
    with pytest.raises(RefusedFileError, match="row 0 of 'scores' has no 'classifier'"):
        load_model(path)


def test_number_of_scored_classifiers_is_limited(saved: Path, tmp_path: Path) -> None:
    """Scores of thousands of classifiers are refused."""

    def repeat(description: dict[str, Any]) -> None:
        row = description["scores"][0]
        description["scores"] = [{**row, "classifier": f"c{number}"} for number in range(1001)]

    with pytest.raises(RefusedFileError, match="more than 1000 classifiers"):
        load_model(rewritten(saved, tmp_path, repeat))


@pytest.mark.parametrize(
    "changes",
    [{"classes": ["a" * 5000, "b"]}, {"about": {"x": ["a" * 5000]}}],
    ids=["class", "fact"],
)
def test_length_of_texts_is_limited(changes: dict[str, Any], saved: Path, tmp_path: Path) -> None:
    """Names of megabytes, which would take minutes to print, are refused."""
    path = rewritten(saved, tmp_path, lambda d: d.update(changes))
    with pytest.raises(RefusedFileError, match="has more than 4096 characters"):
        load_model(path)


def test_info_without_the_number_of_folds(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`clipfeat info` works without the optional facts about the fit."""
    info(rewritten(saved, tmp_path, lambda d: d["about"].pop("cv")))
    assert re.search(r"\?-fold cross-validation", capsys.readouterr().out)


def test_a_model_beyond_a_limit_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that could not be loaded is not saved, and an existing file is kept."""
    model = fit(make_features(), "rf", cv=0)
    model.save(tmp_path / "model.clipfeat")
    monkeypatch.setattr("clipfeat.model.nodes.MAX_TREES", 50)
    with pytest.raises(UsageError, match=r"more than 50 trees\. Use fewer"):
        model.save(tmp_path / "model.clipfeat", overwrite=True)
    monkeypatch.undo()
    assert load_model(tmp_path / "model.clipfeat").classes == model.classes
    assert [path.name for path in tmp_path.iterdir()] == ["model.clipfeat"]


ADAPTATION = {
    "shifts": [-1.0, 1.0], "method": "labels", "n_images": 10,
    "before": {"accuracy": 0.5}, "after": {"accuracy": None},
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"shifts": [0.0]}, {"shifts": [0.0, 101.0]}, {"shifts": [0, 1]}, {"shifts": "ab"},
        {"method": "other"}, {"method": []}, {"n_images": 0}, {"n_images": 10.0},
        {"before": {}}, {"before": []}, {"after": {"accuracy": "x"}}, {"other": 1},
        {"method": "a" * 5000},
    ],
)  # fmt: skip
def test_fields_of_an_adaptation_are_checked(
    changes: dict[str, Any], saved: Path, tmp_path: Path
) -> None:
    """An adaptation with an unknown field or an invalid value is refused."""
    fields = {**ADAPTATION, **changes}
    with pytest.raises(RefusedFileError, match="adaptation"):
        load_model(rewritten(saved, tmp_path, lambda d: d.update(adaptation=fields)))


@pytest.mark.parametrize("prior", [[0.5], [0.5, 0.6], [0.0, 1.0], [1, 0], None, {}])
def test_the_class_shares_are_checked(prior: Any, saved: Path, tmp_path: Path) -> None:
    """There is one positive share per class, and their sum is 1."""
    with pytest.raises(RefusedFileError, match="'prior' is not 2 positive shares"):
        load_model(rewritten(saved, tmp_path, lambda d: d.update(prior=prior)))


def test_a_model_without_class_shares_and_one_with_an_adaptation(
    saved: Path, tmp_path: Path
) -> None:
    """Class shares and adaptations are optional."""

    def change(description: dict[str, Any]) -> None:
        del description["prior"]
        description["adaptation"] = ADAPTATION

    read = load_model(rewritten(saved, tmp_path, change))
    assert read.prior is None
    assert read.adaptation is not None
    assert np.isnan(read.adaptation.after["accuracy"])
