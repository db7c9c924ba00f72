"""What every metric must hold."""

import numpy as np
import pytest
import sklearn.metrics as reference

from clipfeat.evaluate.metrics import METRICS, calibration_error, score

rng = np.random.default_rng(0)
Y = rng.integers(0, 2, 300)
P1 = np.clip(0.5 * Y + 0.6 * rng.random(300), 0.01, 0.99)
P = np.column_stack([1 - P1, P1])
Y3 = rng.integers(0, 3, 300)
P3 = rng.dirichlet(np.ones(3), 300)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_perfect_beats_the_rest(metric: object) -> None:
    """Certainty about the truth is at least as good as anything; certainty of wrong is worst."""
    f, up = metric.function, metric.higher_is_better  # type: ignore[attr-defined]
    values = [f(Y, np.eye(2)[Y]), f(Y, P), f(Y, np.eye(2)[1 - Y])]
    assert values == sorted(values, reverse=up)
    assert values[0] == pytest.approx(1.0 if up else 0.0, abs=1e-9)


def test_agrees_with_scikit_learn() -> None:
    """Two classes and three, against the reference implementations."""
    ours = score(Y, P)
    assert ours["accuracy"] == pytest.approx(reference.accuracy_score(Y, P.argmax(1)))
    assert ours["balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(Y, P.argmax(1))
    )
    assert ours["roc_auc"] == pytest.approx(reference.roc_auc_score(Y, P[:, 1]))
    assert ours["average_precision"] == pytest.approx(reference.average_precision_score(Y, P[:, 1]))
    assert ours["log_loss"] == pytest.approx(reference.log_loss(Y, P))
    assert ours["brier"] == pytest.approx(reference.brier_score_loss(Y, P[:, 1]))
    many = score(Y3, P3)
    assert many["roc_auc"] == pytest.approx(
        reference.roc_auc_score(Y3, P3, multi_class="ovr", average="macro")
    )
    assert many["log_loss"] == pytest.approx(reference.log_loss(Y3, P3))


def test_one_class_has_no_ranking() -> None:
    """ROC AUC and AP of rows of one class are NaN, not a number that looks like one."""
    ours = score(np.zeros(5, dtype=int), np.full((5, 2), 0.5))
    assert np.isnan(ours["roc_auc"])
    assert np.isnan(ours["average_precision"])


def test_calibration_error_by_hand() -> None:
    """Ten rows said with 0.8 of which half are right are 0.3 off."""
    p = np.tile([0.2, 0.8], (10, 1))
    assert calibration_error(np.arange(10) % 2, p) == pytest.approx(0.3)
