"""Tests of the votes of a benchmark."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from clipfeat.ensemble import learn_weights
from clipfeat.errors import UnknownNameError, UsageError
from clipfeat.evaluate import benchmark
from clipfeat.evaluate.votes import GIVEN, VOTE_TITLES, VOTES, cast_vote, parse_votes
from clipfeat.features import join
from clipfeat.fits.cells import Cell
from clipfeat.zoo.folds import k_fold
from tests.conftest import make_features


def test_every_vote_is_an_entry_with_its_weights() -> None:
    """Every vote is an entry whose weights sum to 1 in each fold. dummy does not vote."""
    both = join([make_features(30, apart=1.0), make_features(30, name="other", seed=5, apart=1.0)])
    run = benchmark(both, "logreg,dummy", protocol=3, vote="all", vote_weights=[3, 1])
    assert {VOTE_TITLES[how] for how in (*VOTES, GIVEN)} <= set(run.probabilities)
    for title, weights in run.about["votes"].items():
        assert set(weights) == (set() if title == "stacking" else set(run.about["voters"]))
        assert np.allclose(sum(np.array(w) for w in weights.values()), 1 if weights else 0)
    ours, other = (run.probabilities[entry] for entry in run.about["voters"])
    assert np.allclose(run.probabilities["soft vote, given"], 0.75 * ours + 0.25 * other)


@pytest.mark.parametrize("how", ["greedy", "log_loss", "stacking"])
def test_a_vote_does_not_learn_from_its_test_fold(how: str) -> None:
    """Inverting the labels of a fold does not change the vote on this fold."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 90)
    splits = k_fold(y, None, 3, 0)

    def member(skill: float) -> list[Cell]:
        p = np.clip(0.5 + skill * (y - 0.5) + rng.normal(0, 0.1, 90), 0.01, 0.99)
        p = np.column_stack([1 - p, p])
        return [Cell(p[test], p[train], {}) for train, test in splits]

    files = np.arange(90).astype(str)
    members = {"a": member(0.1), "b": member(0.4), "c": member(0.0)}
    cells, weights = cast_vote(how, members, splits, y, files)
    turned = y.copy()
    turned[splits[0][1]] = 1 - y[splits[0][1]]
    again, other = cast_vote(how, members, splits, turned, files)
    assert np.array_equal(cells[0].test, again[0].test)
    assert not np.array_equal(cells[1].test, again[1].test)
    if weights:
        assert [w[0] for w in weights.values()] == [w[0] for w in other.values()]
        train = splits[0][0]
        known = [m[0].train for m in members.values() if m[0].train is not None]
        expected = learn_weights(how, known, y[train])
        assert np.allclose([w[0] for w in weights.values()], expected)


def test_a_vote_costs_the_sum_of_its_weighted_members() -> None:
    """The time of a vote is the sum over members with a weight above zero."""
    y = np.arange(40) % 2
    splits = k_fold(y, None, 2, 0)
    right, guess = np.eye(2)[y] * 0.8 + 0.1, np.full((40, 2), 0.5)
    cells, weights = cast_vote(
        "greedy",
        {
            name: [Cell(p[test], p[train], {"fit_seconds": cost}) for train, test in splits]
            for name, p, cost in (("right", right, 1.0), ("guess", guess, 50.0))
        },
        splits,
        y,
        np.arange(40).astype(str),
    )
    assert weights == {"right": [1.0, 1.0], "guess": [0.0, 0.0]}
    assert cells[0].costs == {"fit_seconds": 1.0}


def test_votes_are_parsed() -> None:
    """Names, ``all`` and weights are accepted. Errors list the known votes."""
    assert parse_votes("greedy, stacking", None, ["a"]) == ["greedy", "stacking"]
    assert parse_votes("all", [1.0], ["a"]) == [*VOTES, GIVEN]
    with pytest.raises(UnknownNameError, match="did you mean greedy"):
        parse_votes("gredy", None, ["a"])
    for wrong in ([1.0], [0.0, 0.0], [-1.0, 2.0], [np.nan, 1.0]):
        with pytest.raises(UsageError, match="one each for a, b"):
            parse_votes("uniform", wrong, ["a", "b"])


def test_overconfident_members_are_listed_as_uncalibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """An overconfident entry is listed, and a calibrated one is not."""
    module = import_module("clipfeat.fits.cells")
    plain = module.build

    def overconfident(name: str, *args: Any, **settings: Any) -> Any:
        C = 1e5 if name == "logreg" else 1.0
        params = {"logisticregression__C": C}
        return plain("logreg", *args, **settings, params=params)

    monkeypatch.setattr(module, "build", overconfident)
    data = make_features(100, apart=1.0, n_features=60)
    run = benchmark(data, "logreg,svm", protocol=4)
    assert list(run.about["uncalibrated"]) == ["logreg"]
