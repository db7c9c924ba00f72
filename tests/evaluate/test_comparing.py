"""Tests of the comparison of runs."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.errors import DataError
from clipfeat.evaluate import FewShot, KFold, benchmark, compare
from clipfeat.features import FeatureSet
from tests.conftest import make_features


def test_a_run_equals_itself() -> None:
    """Difference and interval are zero, and the p-value is 1."""
    run = benchmark(make_features(40, apart=1.0), "logreg,knn", protocol=4)
    comparison = compare({"a": run, "b": run}, "roc_auc")
    assert comparison.n_files == 80
    for one in comparison.entries:
        assert (one.better, one.better_low, one.better_high, one.p_value) == (0, 0, 0, 1)


def test_differences_are_positive_for_the_better_run(features: FeatureSet) -> None:
    """Rows are paired in any order, and a lower log loss is an improvement."""
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
    """Images are identified by content hash, and must have equal labels in all runs."""
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
