"""What a vote gains, and how sure that is."""

import numpy as np
import pytest

from clipfeat.evaluate.gains import gains
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.plan import Trial
from clipfeat.evaluate.result import Benchmark, Outcome
from clipfeat.evaluate.votes import SOFT_VOTE as VOTE
from clipfeat.spec import EncoderSpec


def run_of(
    y: np.ndarray, probabilities: dict[str, np.ndarray], groups: np.ndarray | None = None
) -> Benchmark:
    """One fold with one vote."""
    specs: tuple[EncoderSpec, ...] = ()
    rows = np.arange(len(y))
    trial = Trial({"0": (rows[:0], rows)})
    paths = rows.astype(str)
    return Benchmark(
        (), [Outcome(trial, np.zeros(len(y), dtype=np.int64), probabilities)], y, ("a", "b"),
        paths, specs, paths, paths.astype("S32"), groups, about={"votes": {VOTE: {}}},
    )  # fmt: skip


def some(n: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = {}
    for entry, knows in (("good", 0.3), ("bad", 0.1), (VOTE, 0.35)):
        positive = 1 / (1 + np.exp(-4 * (knows * (y - 0.5) + rng.normal(0, 0.3, n))))
        p[entry] = np.column_stack([1 - positive, positive])
    return y, p


def test_the_error_is_the_paired_one_of_the_images() -> None:
    """For accuracy, each row by itself: the textbook's s/√n of the differences."""
    y, p = some(400)
    found = gains(run_of(y, p), "accuracy")[0]
    right = {entry: (of.argmax(axis=1) == y).astype(float) for entry, of in p.items()}
    apart = right[VOTE] - right["good"]
    assert (found.vote, found.over) == (VOTE, "good")
    assert found.value == pytest.approx(apart.mean())
    assert found.standard_error == pytest.approx(apart.std() / np.sqrt(len(y)), rel=0.1)


def test_groups_count_once() -> None:
    """Every image ten times over, as a group, is no surer than it was once."""
    y, p = some(80)
    alone = gains(run_of(y, p), "accuracy")[0]
    ten = {entry: np.repeat(of, 10, axis=0) for entry, of in p.items()}
    groups = np.repeat(np.arange(80), 10).astype(str)
    grouped = gains(run_of(np.repeat(y, 10), ten, groups), "accuracy")[0]
    apart = gains(run_of(np.repeat(y, 10), ten), "accuracy")[0]
    assert grouped.standard_error == pytest.approx(alone.standard_error, rel=0.1)
    assert apart.standard_error < 0.5 * alone.standard_error


@pytest.mark.parametrize("metric", ["balanced_accuracy", "roc_auc", "log_loss"])
def test_the_error_is_that_of_new_samples(metric: str) -> None:
    """It is near the standard deviation of the gain over fresh samples."""
    runs = [gains(run_of(*some(300, seed)), metric)[0] for seed in range(10)]
    true = np.std([found.value for found in runs if found.over == "good"])
    said = np.median([found.standard_error for found in runs])
    assert 0.5 * true < said < 2 * true


@pytest.mark.parametrize("metric", METRICS)
def test_worse_is_said(metric: str) -> None:
    """A vote far below the best is worse, whichever way the metric goes; an equal one is not."""
    y, p = some(2000)
    assert gains(run_of(y, p | {VOTE: p["good"]}), metric)[0].value == 0
    assert not gains(run_of(y, p | {VOTE: p["good"]}), metric)[0].worse
    worst = 1 - p["good"]
    assert gains(run_of(y, p | {VOTE: worst}), metric)[0].worse or metric == "calibration_error"


def test_no_vote_no_gain() -> None:
    """A run of single classifiers has none."""
    y, p = some(50)
    del p[VOTE]
    assert gains(run_of(y, p), "accuracy") == []
