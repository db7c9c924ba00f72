"""Tests of ranks, intervals and ties."""

import numpy as np
import pytest

from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.resampling import draw, resampled
from clipfeat.evaluate.standings import paired_p_value, standings
from tests.evaluate.test_gains import run_of


def predict(y: np.ndarray, skill: float, seed: int) -> np.ndarray:
    """Return noisy probabilities that depend on the labels by a given skill."""
    noise = np.random.default_rng(seed).normal(size=len(y))
    positive = 1 / (1 + np.exp(-skill * (2 * y - 1) - noise))
    return np.column_stack([1 - positive, positive])


def test_equal_entries_tie_with_the_leader() -> None:
    """A copy and an entry of nearly equal skill tie, and a weaker entry does not."""
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
    """The test at the 5 % level separates few of 30 pairs of equal skill."""
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
    """The first value equals the metric, and the draws are centred on it."""
    y = np.random.default_rng(0).integers(0, 2, 400)
    p = predict(y, 1.0, 1)
    values = resampled(run_of(y, {"a": p}), ["a"], "roc_auc")["a"]
    assert values[0] == pytest.approx(METRICS["roc_auc"].function(y, p))
    assert abs(np.mean(values[1:]) - values[0]) < 0.01


def test_p_values_are_two_sided() -> None:
    """The p-value does not depend on the sign of the difference."""
    draws = np.random.default_rng(0).normal(2.0, 1.0, 999)
    assert paired_p_value(draws) == paired_p_value(-draws) == pytest.approx(0.05, abs=0.03)
