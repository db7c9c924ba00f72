"""Tests of all metrics."""

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.evaluate.metrics import METRICS, Metric, score

rng = np.random.default_rng(0)
Y = rng.integers(0, 2, 300)
P1 = np.clip(0.5 * Y + 0.6 * rng.random(300), 0.01, 0.99)
P = np.column_stack([1 - P1, P1])
Y3 = rng.integers(0, 3, 300)
P3 = rng.dirichlet(np.ones(3), 300)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_certainty_is_best_if_correct_and_worst_if_wrong(metric: object) -> None:
    """True one-hot labels get the best value, and inverted ones the worst."""
    f, up = metric.function, metric.higher_is_better  # type: ignore[attr-defined]
    values = [f(Y, np.eye(2)[Y]), f(Y, P), f(Y, np.eye(2)[1 - Y])]
    assert values == sorted(values, reverse=up)
    assert values[0] == pytest.approx(1.0 if up else 0.0, abs=1e-9)


def test_agrees_with_scikit_learn() -> None:
    """Values for two and three classes equal scikit-learn's."""
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


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
@settings(deadline=None)
@given(st.data())
def test_weighted_rankings_agree_with_scikit_learn(name: str, data: st.DataObject) -> None:
    """Weighted values equal scikit-learn's, for any ties and weights."""
    n = data.draw(st.integers(2, 30))
    y = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    s = np.array(data.draw(st.lists(st.sampled_from([0, 0.1, 0.5, 0.9]), min_size=n, max_size=n)))
    w = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=float)
    ours = METRICS[name].weighted(y, np.column_stack([1 - s, s]), np.array([w, np.ones(n)]))
    theirs = {"roc_auc": reference.roc_auc_score,
              "average_precision": reference.average_precision_score}[name]  # fmt: skip
    for value, weights in zip(ours, [w, np.ones(n)], strict=True):
        there = weights > 0
        if len(np.unique(y[there])) < 2:
            assert np.isnan(value)
        else:
            expected = theirs(y[there], s[there], sample_weight=weights[there])
            assert value == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_weight_equals_copies(metric: Metric) -> None:
    """A row of weight 2 equals two copies, and a row of weight 0 equals none."""
    w = rng.integers(0, 4, 300)
    if metric.name == "calibration_error":
        pytest.skip("the bins of calibration have equal numbers of rows, not of copies")
    for y, p in ((Y, P), (Y3, P3)):
        copies = np.repeat(np.arange(300), w)
        expected = metric.function(y[copies], p[copies])
        assert metric.weighted(y, p, w[None].astype(float))[0] == pytest.approx(expected)


def test_tpr_at_fpr() -> None:
    """At a rate of 5 %, at most five of 100 negatives are false positives."""
    y, s = np.repeat([0, 1], 100), np.r_[np.linspace(0, 1, 100), np.linspace(0.5, 1.5, 100) / 1.5]
    false, true, _ = reference.roc_curve(y, s, drop_intermediate=False)
    ours = score(y, np.column_stack([1 - s, s]))
    assert ours["tpr_at_fpr_5"] == pytest.approx(true[false <= 0.05].max())
    assert ours["tpr_at_fpr_1"] == pytest.approx(true[false <= 0.01].max())


def test_ranking_metrics_of_one_class_are_nan() -> None:
    """ROC AUC and average precision are NaN for rows of one class."""
    ours = score(np.zeros(5, dtype=int), np.full((5, 2), 0.5))
    assert np.isnan(ours["roc_auc"])
    assert np.isnan(ours["average_precision"])


def test_tpr_at_fpr_needs_enough_negatives() -> None:
    """The rate at 1 % needs 100 negatives, and the rate at 5 % needs 20. Otherwise it is NaN."""
    for n, one, five in ((99, True, False), (100, False, False), (20, True, False),
                         (19, True, True)):  # fmt: skip
        y = np.repeat([0, 1], [n, 50])
        s = rng.random(n + 50)
        values = score(y, np.column_stack([1 - s, s]))
        assert np.isnan(values["tpr_at_fpr_1"]) == one
        assert np.isnan(values["tpr_at_fpr_5"]) == five


def test_calibration_error_by_hand() -> None:
    """If half of ten rows predicted with 0.8 are right, it is 0.3² minus the variance 0.25 / 9."""
    p = np.tile([0.2, 0.8], (10, 1))
    expected = np.sqrt(0.3**2 - 0.25 / 9)
    assert METRICS["calibration_error"].function(np.arange(10) % 2, p) == pytest.approx(expected)


def test_calibration_error_of_calibrated_probabilities_is_near_zero() -> None:
    """The error is small on average, and exactly 0 in about half of the draws."""
    errors = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        s = draw.beta(1.5, 1.5, 300)
        p = np.column_stack([1 - s, s])
        errors.append(METRICS["calibration_error"].function((draw.random(300) < s) * 1, p))
    assert np.mean(errors) < 0.03
    assert 10 <= np.sum(np.array(errors) == 0) <= 30
