"""Tests of the gains of votes over their best member."""

import numpy as np
import pytest

from benchmarks.simulations import latent, right_or_wrong
from clipfeat.evaluate.gains import gains
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.plan import Trial
from clipfeat.evaluate.result import Benchmark, Outcome
from clipfeat.evaluate.votes import SOFT_VOTE
from clipfeat.spec import EncoderSpec


def run_of(
    y: np.ndarray, probabilities: dict[str, np.ndarray], groups: np.ndarray | None = None
) -> Benchmark:
    """Return a run of one fold with one vote."""
    specs: tuple[EncoderSpec, ...] = ()
    rows = np.arange(len(y))
    trial = Trial({"0": (rows[:0], rows)})
    paths = rows.astype(str)
    return Benchmark(
        (), [Outcome(trial, np.zeros(len(y), dtype=np.int64), probabilities)], y, ("a", "b"),
        paths, specs, paths, paths.astype("S32"), groups, about={"votes": {SOFT_VOTE: {}}},
    )  # fmt: skip


def some(n: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = {}
    for entry, knows in (("good", 0.3), ("bad", 0.1), (SOFT_VOTE, 0.35)):
        positive = 1 / (1 + np.exp(-4 * (knows * (y - 0.5) + rng.normal(0, 0.3, n))))
        p[entry] = np.column_stack([1 - positive, positive])
    return y, p


def test_standard_error_is_paired() -> None:
    """The standard error of an accuracy gain is s/√n of the paired differences."""
    y, p = some(400)
    gain = gains(run_of(y, p), "accuracy")[0]
    right = {entry: (of.argmax(axis=1) == y).astype(float) for entry, of in p.items()}
    apart = right[SOFT_VOTE] - right["good"]
    assert (gain.vote, gain.over) == (SOFT_VOTE, "good")
    assert gain.value == pytest.approx(apart.mean())
    assert gain.standard_error == pytest.approx(apart.std() / np.sqrt(len(y)), rel=0.1)


def test_groups_are_resampled_whole() -> None:
    """Ten grouped copies of every image do not reduce the standard error."""
    y, p = some(80)
    alone = gains(run_of(y, p), "accuracy")[0]
    ten = {entry: np.repeat(of, 10, axis=0) for entry, of in p.items()}
    groups = np.repeat(np.arange(80), 10).astype(str)
    grouped = gains(run_of(np.repeat(y, 10), ten, groups), "accuracy")[0]
    apart = gains(run_of(np.repeat(y, 10), ten), "accuracy")[0]
    assert grouped.standard_error == pytest.approx(alone.standard_error, rel=0.1)
    assert apart.standard_error < 0.5 * alone.standard_error


@pytest.mark.parametrize("metric", ["balanced_accuracy", "roc_auc", "log_loss"])
def test_standard_error_matches_new_samples(metric: str) -> None:
    """The standard error is near the standard deviation of the gain over new samples."""
    runs = [gains(run_of(*some(300, seed)), metric)[0] for seed in range(10)]
    true = np.std([gain.value for gain in runs if gain.over == "good"])
    estimated = np.median([gain.standard_error for gain in runs])
    assert 0.5 * true < estimated < 2 * true


@pytest.mark.parametrize("metric", METRICS)
def test_a_worse_vote_is_flagged(metric: str) -> None:
    """A bad vote is worse than the best classifier in every metric. An equal vote is not."""
    y, p = some(2000)
    assert gains(run_of(y, p | {SOFT_VOTE: p["good"]}), metric)[0].value == 0
    assert not gains(run_of(y, p | {SOFT_VOTE: p["good"]}), metric)[0].worse
    worst = 1 - p["good"]
    assert (
        gains(run_of(y, p | {SOFT_VOTE: worst}), metric)[0].worse or metric == "calibration_error"
    )


def test_without_votes_there_are_no_gains() -> None:
    """A run of single classifiers has no gains."""
    y, p = some(50)
    del p[SOFT_VOTE]
    assert gains(run_of(y, p), "accuracy") == []


@pytest.mark.parametrize(("gain", "share"), [(0.0, 0.15), (0.03, 0.0), (-0.25, 1.0)])
def test_a_vote_is_called_worse_only_if_it_is(gain: float, share: float) -> None:
    """Equal or better votes are rarely called worse than the best of 8 entries."""
    y = np.arange(200) % 2
    worse = 0
    for seed in range(20):
        values = latent(np.random.default_rng(seed), 200, 9)
        p = {f"entry {i}": right_or_wrong(y, 0.8, values[i]) for i in range(8)}
        p[SOFT_VOTE] = right_or_wrong(y, 0.8 + gain, values[8])
        both = {entry: np.column_stack([1 - one, one]) for entry, one in p.items()}
        worse += gains(run_of(y, both), "accuracy")[0].worse
    assert worse == 20 if share == 1 else worse <= 20 * share
