"""Tests of near duplicates in training and test rows."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.evaluate import KFold, LeaveOneOut, benchmark
from clipfeat.evaluate.separated_duplicates import separated_duplicates
from clipfeat.features import FeatureSet
from clipfeat.report import remarks

N, COLUMNS = 300, 32


def noise_with_copies(seed: int = 0) -> FeatureSet:
    """Make noise with random labels, and a jittered copy of every row with the same label."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(N, COLUMNS)), rng.permutation(np.arange(N) % 2)
    copies = X + rng.normal(scale=0.05, size=X.shape)
    return FeatureSet.from_arrays(np.vstack([X, copies]), [*y, *y])


def test_jittered_copies_are_reported_and_grouped() -> None:
    """Copies of noise are recognised by knn. With groups, its accuracy is about 0.5."""
    features = noise_with_copies()
    leaking = benchmark(features, "knn")
    assert leaking.leaderboard().mean["knn"]["accuracy"] > 0.75
    (warning,) = [line for line in remarks(leaking, leaking.leaderboard()) if "WARNING" in line]
    assert "--group-duplicates" in warning
    counts = leaking.about["near_duplicates"]
    assert counts["searched"] == 2 * N
    assert counts["separated"] > N
    grouped = benchmark(features.near_duplicates_grouped(), "knn")
    assert grouped.about["near_duplicates"]["separated"] == 0
    assert not [line for line in remarks(grouped, grouped.leaderboard()) if "WARNING" in line]
    three_standard_errors = 3 * 0.5 / np.sqrt(N)  # the two copies of a row are not independent
    accuracy = grouped.leaderboard().mean["knn"]["accuracy"]
    assert accuracy == pytest.approx(0.5, abs=three_standard_errors)


def test_held_out_values_leave_their_duplicates_out_of_training() -> None:
    """In leave-one-out, groups remove training rows that resemble the test rows."""
    features = noise_with_copies()
    made = np.array(["a", "b", "c"])[np.arange(2 * N) % 3]
    made[N:] = np.roll(made[N:], 1)  # the copy of an image is of another value
    features = replace(features, columns={"maker": made})
    grouped = features.near_duplicates_grouped()
    for one, is_separated in ((features, True), (grouped, False)):
        plan = LeaveOneOut("maker").plan(one)
        counts = separated_duplicates(plan.features, plan.trials)
        assert (counts["separated"] > 0) is is_separated


@pytest.mark.parametrize("n_columns", [3, 8, 64])
def test_noise_has_no_near_duplicates(n_columns: int) -> None:
    """Close neighbours in noise of few dimensions are not near duplicates."""
    X = np.random.default_rng(1).normal(size=(400, n_columns))
    plan = KFold().plan(FeatureSet.from_arrays(X, [0, 1] * 200))
    assert separated_duplicates(plan.features, plan.trials)["separated"] <= 1


def test_exact_duplicates_always_share_a_fold() -> None:
    """Rows with the same content hash share a fold, with and without groups."""
    features = noise_with_copies()
    keys = np.concatenate([features.keys[:N], features.keys[:N]])
    for groups in (None, np.arange(2 * N).astype(np.str_)):
        plan = KFold().plan(replace(features, keys=keys, groups=groups))
        for train, test in plan.trials[0].splits.values():
            assert not set(plan.features.keys[train]) & set(plan.features.keys[test])
