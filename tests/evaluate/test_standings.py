"""Tests of ranks, intervals and ties."""

import numpy as np
import pytest
from scipy.special import stdtrit

from benchmarks.simulations import draws, leader_interval, unseen
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.resampling import draw, resampled
from clipfeat.evaluate.simultaneous import MaxT
from clipfeat.evaluate.standings import standings
from tests.evaluate.test_gains import run_of


def predict(y: np.ndarray, skill: float, seed: int) -> np.ndarray:
    """Return noisy probabilities that agree with the labels by a given skill."""
    noise = np.random.default_rng(seed).normal(size=len(y))
    positive = 1 / (1 + np.exp(-skill * (2 * y - 1) - noise))
    return np.column_stack([1 - positive, positive])


def test_equal_entries_tie_with_the_leader() -> None:
    """A copy and an entry of similar skill tie with the leader. A weaker one does not."""
    y = np.random.default_rng(0).integers(0, 2, 1000)
    good = predict(y, 2.0, 1)
    run = run_of(
        y, {"bad": predict(y, 0.5, 2), "good": good, "copy": good, "like": predict(y, 1.98, 3)}
    )
    ranked = standings(run, "accuracy")
    assert {one.entry for one in ranked if one.tied} == {"good", "copy", "like"}
    assert ranked[-1].entry == "bad"
    assert ranked[-1].behind > 0.1
    assert ranked[0].behind == 0
    for one in ranked:
        assert one.low < one.value < one.high


@pytest.mark.parametrize("metric", METRICS)
def test_equal_entries_rarely_differ(metric: str) -> None:
    """At the 5 % level, few of 30 pairs of equal skill are separated."""
    apart = 0
    for seed in range(30):
        y = np.random.default_rng(seed).integers(0, 2, 300)
        run = run_of(y, {"a": predict(y, 1.0, 2 * seed), "b": predict(y, 1.0, 2 * seed + 1)})
        apart += not standings(run, metric)[1].tied
    assert apart <= 6  # more than 6 of 30 at 5 % has a chance of 0.0006


def test_intervals_have_their_coverage() -> None:
    """At least 85 of 100 intervals contain the accuracy on a million rows."""
    many = np.random.default_rng(7).integers(0, 2, 1_000_000)
    truth = METRICS["accuracy"].function(many, predict(many, 1.0, 8))
    covered = 0
    for seed in range(100):
        y = np.random.default_rng(seed).integers(0, 2, 200)
        one = standings(run_of(y, {"a": predict(y, 1.0, seed + 500)}), "accuracy")[0]
        covered += one.low <= truth <= one.high
    assert covered >= 85


def test_groups_are_drawn_whole() -> None:
    """Rows of a group have equal weights, and every draw has the same number of groups."""
    groups = np.repeat(np.arange(30), 4)
    drawn = draw(groups)
    assert (drawn.reshape(len(drawn), 30, 4) == drawn[:, ::4, None]).all()
    assert (drawn[:, ::4].sum(axis=1) == 30).all()


def test_the_first_value_is_the_score_itself() -> None:
    """The first value is the score itself, and the bootstrap draws centre on it."""
    y = np.random.default_rng(0).integers(0, 2, 400)
    p = predict(y, 1.0, 1)
    values = resampled(run_of(y, {"a": p}), ["a"], "roc_auc").values["a"]
    assert values[0] == pytest.approx(METRICS["roc_auc"].function(y, p))
    assert abs(np.mean(values[1:]) - values[0]) < 0.01


def test_p_values_are_two_sided() -> None:
    """The p-value does not depend on the sign, and equals that of a normal test."""
    alone = MaxT(np.abs(np.random.default_rng(0).normal(size=4999)), 100_000)
    assert alone.p_value(1.96, 1.0) == alone.p_value(-1.96, 1.0) == pytest.approx(0.05, abs=0.01)
    assert alone.p_value(0.0, 0.0) == 1
    assert alone.p_value(0.1, 0.0) < 0.001


@pytest.mark.parametrize(
    ("metric", "truth", "n", "n_entries", "n_groups"),
    [("accuracy", 0.98, 60, 1, 0), ("roc_auc", 0.998, 60, 1, 0), ("accuracy", 0.8, 200, 1, 10),
     ("accuracy", 0.8, 200, 8, 0)],
)  # fmt: skip
def test_the_interval_of_the_leader_covers_the_truth(
    metric: str, truth: float, n: int, n_entries: int, n_groups: int
) -> None:
    """At least 52 of 60 intervals cover the truth, even after selecting the best entry."""
    runs = draws(metric, truth, n, 60, n_entries=n_entries, n_groups=n_groups)
    share, width = leader_interval(runs, metric, truth)
    assert share >= 52 / 60  # fewer has a probability of 0.006 at a coverage of 0.95
    assert width < 0.25


def test_a_perfect_score_has_the_exact_binomial_interval() -> None:
    """60 of 60 right give a lower end of 0.940 in accuracy.

    30 of 30 right in each class give a lower end of 0.884 in ROC AUC.
    """
    y = np.arange(60) % 2
    run = run_of(y, {"a": np.eye(2)[y] * 0.8 + 0.1})
    for metric, low in (("accuracy", 0.025 ** (1 / 60)), ("balanced_accuracy", 0.025 ** (1 / 60)),
                        ("roc_auc", 0.025 ** (1 / 30))):  # fmt: skip
        one = standings(run, metric)[0]
        assert (one.low, one.high) == (pytest.approx(low), 1)


def test_held_out_values_are_the_resampling_unit() -> None:
    """In leave-one-out, the standard error is that of the mean over the held-out values."""
    run = next(unseen(8, 0.1, 1))
    draws_of_run = resampled(run, ["a"], "balanced_accuracy")
    by_value = [
        METRICS["balanced_accuracy"].function(tested.y, tested.p)
        for tested in (run.tested(run.outcomes[0], "a", fold) for fold in range(8))
    ]
    assert (draws_of_run.unit, draws_of_run.size.n_units) == ("value of generator", 8)
    assert draws_of_run.values["a"][0] == pytest.approx(np.mean(by_value))
    expected = np.std(by_value, ddof=1) / np.sqrt(8)
    assert draws_of_run.error(draws_of_run.values["a"]) == pytest.approx(expected, rel=0.1)
    one = standings(run, "balanced_accuracy")[0]
    width = 2 * expected * stdtrit(7, 0.975)
    assert one.high - one.low == pytest.approx(width, rel=0.25)
    assert "bootstrap over 8 values of 'generator'" in run.leaderboard("balanced_accuracy").notes[0]
    assert "approximate" in run.leaderboard("balanced_accuracy").notes[1]


@pytest.mark.parametrize("n_entries", [2, 8, 20])
def test_equal_entries_are_rarely_called_worse(n_entries: int) -> None:
    """At most 5 of 30 runs separate any entry from the leader."""
    runs = draws("accuracy", 0.8, 200, 30, n_entries=n_entries)
    apart = sum(any(not one.tied for one in standings(run, "accuracy")) for run in runs)
    assert apart <= 5  # more has a probability of 0.003 at a rate of 0.05
