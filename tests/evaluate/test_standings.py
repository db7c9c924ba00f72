"""Places, intervals and ties."""

import numpy as np
import pytest

from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.resampling import draw, resampled
from clipfeat.evaluate.standings import paired_p_value, standings
from tests.evaluate.test_gains import run_of


def said(y: np.ndarray, knows: float, seed: int) -> np.ndarray:
    """Probabilities that know so much of the truth."""
    noise = np.random.default_rng(seed).normal(size=len(y))
    positive = 1 / (1 + np.exp(-knows * (2 * y - 1) - noise))
    return np.column_stack([1 - positive, positive])


def test_the_better_one_leads_and_its_equal_is_tied() -> None:
    """A copy is tied, one that knows about as much as well, one that knows less is not."""
    y = np.random.default_rng(0).integers(0, 2, 1000)
    good = said(y, 2.0, 1)
    run = run_of(y, {"bad": said(y, 0.5, 2), "good": good, "copy": good, "like": said(y, 1.98, 3)})
    found = standings(run, "accuracy")
    assert {one.entry for one in found if one.tied} == {"good", "copy", "like"}
    assert found[-1].entry == "bad"
    assert found[-1].behind > 0.1
    assert found[0].behind == 0
    for one in found:
        assert one.low < one.value < one.high


@pytest.mark.parametrize("metric", METRICS)
def test_equal_entries_are_seldom_told_apart(metric: str) -> None:
    """Of thirty pairs that know the same, the test at 5 % separates a few at most."""
    apart = 0
    for seed in range(30):
        y = np.random.default_rng(seed).integers(0, 2, 300)
        run = run_of(y, {"a": said(y, 1.0, 2 * seed), "b": said(y, 1.0, 2 * seed + 1)})
        apart += not standings(run, metric)[1].tied
    assert apart <= 6  # more than 6 of 30 at 5 % has a chance of 0.0006


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Of a hundred samples at least 85 intervals hold the accuracy of a million rows."""
    many = np.random.default_rng(7).integers(0, 2, 1_000_000)
    truth = METRICS["accuracy"].function(many, said(many, 1.0, 8))
    covered = 0
    for seed in range(100):
        y = np.random.default_rng(seed).integers(0, 2, 200)
        one = standings(run_of(y, {"a": said(y, 1.0, seed + 500)}), "accuracy")[0]
        covered += one.low <= truth <= one.high
    assert covered >= 85


def test_groups_are_drawn_whole() -> None:
    """Rows of one group count alike in every draw, and all draws count as many groups."""
    groups = np.repeat(np.arange(30), 4)
    drawn = draw(groups)
    assert (drawn.reshape(len(drawn), 30, 4) == drawn[:, ::4, None]).all()
    assert (drawn[:, ::4].sum(axis=1) == 30).all()


def test_the_first_value_is_the_score_itself() -> None:
    """And the draws lie about it."""
    y = np.random.default_rng(0).integers(0, 2, 400)
    p = said(y, 1.0, 1)
    values = resampled(run_of(y, {"a": p}), ["a"], "roc_auc")["a"]
    assert values[0] == pytest.approx(METRICS["roc_auc"].function(y, p))
    assert abs(np.mean(values[1:]) - values[0]) < 0.01


def test_p_values_are_two_sided() -> None:
    """Whichever way the difference goes, and certain only of nothing."""
    draws = np.random.default_rng(0).normal(2.0, 1.0, 999)
    assert paired_p_value(draws) == paired_p_value(-draws) == pytest.approx(0.05, abs=0.03)
