"""Tests of the comparison of runs."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from benchmarks.simulations import called_different, compared_runs
from clipfeat.errors import DataError
from clipfeat.evaluate import FewShot, KFold, LeaveOneOut, benchmark, compare
from clipfeat.features import FeatureSet
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features
from tests.evaluate.test_protocols import generators
from tests.report.runs import make_run


def test_a_run_equals_itself() -> None:
    """Compared with itself, a run has zero differences and p-values of 1."""
    run = benchmark(make_features(40, apart=1.0), "logreg,knn", protocol=4)
    comparison = compare({"a": run, "b": run}, "roc_auc")
    assert comparison.n_files == 80
    for one in comparison.entries:
        assert (one.better, one.better_low, one.better_high, one.p_value) == (0, 0, 0, 1)


def test_phases_are_reported(phases_of: Callable[[Callable[..., Any]], list[str]]) -> None:
    """A comparison shows which run it loads and which entry it compares."""
    run = benchmark(make_features(20, apart=1.0), "logreg,knn", protocol=2)
    assert phases_of(partial(compare, {"a": run, "b": run})) == ["loading", "comparing"]


def test_differences_are_positive_for_the_better_run(features: FeatureSet) -> None:
    """Rows are paired by image, not by position, and a lower log loss is an improvement."""
    weak = make_features(60, apart=0.5)
    strong = replace(weak, X=weak.X + 2 * weak.y[:, None].astype(np.float32))
    shuffled = strong.take(np.random.default_rng(0).permutation(120))
    runs = {
        "weak": benchmark(weak, "logreg", protocol=3),
        "strong": benchmark(shuffled, "logreg", protocol=3),
    }
    for metric in ("balanced_accuracy", "log_loss"):
        first, second = compare(runs, metric).entries
        assert second.better == pytest.approx(abs(second.value - first.value))
        assert second.better_low > 0
        assert second.p_value < 0.01


def test_other_images_or_labels_are_an_error(features: FeatureSet) -> None:
    """Images are matched by content hash, and must have the same label in all runs."""
    run = benchmark(features, "logreg", protocol=3)
    other = replace(features, keys=np.array([f"{i + 99:032x}".encode() for i in range(40)]))
    with pytest.raises(DataError, match="no image was tested in all"):
        compare({"a": run, "b": benchmark(other, "logreg", protocol=3)}, "accuracy")
    turned = benchmark(replace(features, y=1 - features.y), "logreg", protocol=3)
    with pytest.raises(DataError, match="different labels"):
        compare({"a": run, "b": turned}, "accuracy")


def test_seeds_and_sizes_are_averaged_as_in_the_leaderboard() -> None:
    """Trials are averaged, and only the largest size of a few-shot curve counts."""
    data = make_features(40, apart=1.0)
    one, five = (benchmark(data, "mlp", protocol=KFold(3, repeats=n)) for n in (1, 5))
    _, many = compare({"one": one, "five": five}, "log_loss").entries
    table = five.to_pandas().query("metric == 'log_loss'")
    assert many.value == pytest.approx(table.value.mean(), rel=0.02)
    few, large = (
        benchmark(data, "logreg", protocol=FewShot(sizes, 3)) for sizes in ([2, 20], [20])
    )
    first, second = compare({"few": few, "large": large}, "accuracy").entries
    assert first.value == second.value


def test_differing_options_and_data_are_stated() -> None:
    """Options that differ in value, and data that differ in fingerprint, are listed."""
    data = make_features(30)
    first = benchmark(data, "logreg", protocol=3, options=FitOptions(balance="prior"))
    second = benchmark(data.take(np.arange(60) % 5 > 0), "logreg,knn", protocol=3, random_state=1)
    comparison = compare({"a": first, "b": second})
    assert comparison.differences == {
        "clf": ["logreg", "logreg, knn"],
        "balance": ["prior", "none"],
        "random_state": ["0", "1"],
    }
    assert "The runs used DIFFERENT DATA" in comparison.notes[0]
    same = compare({"a": first, "b": first})
    assert (dict(same.differences), len(same.notes)) == ({}, 1)
    unknown = replace(first, about={**first.about, "data_fingerprint": None})
    assert "The data of b are not recorded" in compare({"a": first, "b": unknown}).notes[0]


def test_p_values_are_corrected_for_the_number_of_comparisons() -> None:
    """With ten equal entries, some p-value is below 0.05 in about 5 % of comparisons."""
    rng = np.random.default_rng(0)
    features = make_features(75)
    smallest = []
    for _ in range(60):
        runs = []
        for _ in range(2):
            correct = rng.random((10, 150)) < 0.8
            p = {f"e{i}": one_hot(np.where(c, features.y, 1 - features.y))
                 for i, c in enumerate(correct)}  # fmt: skip
            run = make_run(features, KFold(3).plan(features), {"x": 1.0})
            runs.append(replace(run, outcomes=[replace(run.outcomes[0], probabilities=p)]))
        compared = compare({"a": runs[0], "b": runs[1]}, "accuracy").entries
        smallest.append(min(one.p_value for one in compared if one.run == "b"))
    # 40 % would be below 0.05 without a correction.
    assert np.mean(np.array(smallest) < 0.05) <= 0.15


def one_hot(codes: np.ndarray) -> np.ndarray:
    p: np.ndarray = np.eye(2)[codes]
    return p


def test_held_out_values_are_the_units_of_leave_one_out() -> None:
    """In leave-one-out, a note states that intervals include the choice of values."""
    data = generators()
    run = benchmark(data, "logreg", protocol=LeaveOneOut("generator"))
    comparison = compare({"a": run, "b": run})
    n = len(set(data.columns["generator"][data.y == 1]))
    assert f"the choice of {n} values of 'generator'" in comparison.notes[-1]


def test_runs_without_a_common_entry_say_so() -> None:
    """Without a common entry there are no differences, and a note gives the reason."""
    data = make_features(30)
    runs = {"a": make_run(data, None, {"svm": 1.0}), "b": make_run(data, None, {"knn": 1.0})}
    comparison = compare(runs)
    assert all(np.isnan(one.better) for one in comparison.entries if one.run == "b")
    assert comparison.notes[-1].startswith("No entry of a is in another run")
    same = compare({"a": runs["a"], "b": make_run(data, None, {"svm": 0.5})})
    assert "No entry" not in " ".join(same.notes)


def test_equal_runs_are_seldom_called_different() -> None:
    """Few of 30 comparisons of three equal runs with four entries each find a difference.

    If each comparison finds one with a probability of 5 %, more than five of 30 do so with a
    probability of 0.3 %. Without the correction for eight differences, about a quarter would. The
    table ``compare`` of the simulations has more cases, in 200 draws.
    """
    equal = [compared_runs("accuracy", 0.8, 60, 3, 4, seed) for seed in range(30)]
    assert sum(bool(called_different(runs, "accuracy")) for runs in equal) <= 5
    worse = compared_runs("accuracy", 0.8, 300, 3, 4, 0, loss=0.2)
    assert set(called_different(worse, "accuracy")) == {"run 2"}
