"""Tests of the training rows that a fit leaves out to choose the threshold."""

from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from clipfeat.errors import DataError
from clipfeat.evaluate import benchmark
from clipfeat.evaluate.fitting import fit
from clipfeat.evaluate.threshold_rows import holds_out, threshold_rows
from clipfeat.evaluate.thresholds import choose_threshold, negatives_needed
from clipfeat.evaluate.votes import SOFT_VOTE
from clipfeat.features import FeatureSet
from clipfeat.zoo import PROJECTIONS, ClassifierRow, classifiers
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features

BOUNDED = FitOptions(max_fpr=0.05)


class DriftingClassifier(ClassifierMixin, BaseEstimator):
    """Classifier that shifts its scores by a different value in each fit."""

    def fit(self, X: Any, y: Any) -> Self:
        self.classes_ = np.unique(y)
        self.shift_ = np.random.default_rng(int(1e6 * abs(X.sum()))).normal()
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        p = expit(X.mean(axis=1) + self.shift_)
        return np.column_stack([1 - p, p])


def make_drifting(options: FitOptions, **further: Any) -> DriftingClassifier:
    """Make the classifier `drifting`."""
    return DriftingClassifier()


@pytest.fixture
def drifting(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register a classifier that does not state that a refit keeps its scores."""
    row = ClassifierRow("drifting", f"{__name__}:make_drifting", "for tests")
    monkeypatch.setitem(classifiers(), row.name, row)
    return row.name


def exceeded(clf: str, n_runs: int) -> int:
    """Return the number of models whose false positive rate on fresh images exceeds 10 %."""
    fresh = make_features(3000, apart=0.5, seed=10**6)
    negatives = fresh.X[fresh.y == 0]
    n = 0
    for seed in range(n_runs):
        data = make_features(130, apart=0.5, seed=seed)
        model = fit(data, clf, cv=2, options=FitOptions(max_fpr=0.1), random_state=seed)
        assert model.threshold is not None
        n += (model.estimator.predict_proba(negatives)[:, 1] > model.threshold).mean() > 0.1
    return n


def test_the_bound_holds_if_each_fit_has_other_scores(
    drifting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound holds. With out-of-fold scores, a quarter of the models would exceed it."""
    # At a true probability of 5 %, five or more of 20 models exceed the bound with 0.3 %.
    assert exceeded(drifting, 20) <= 4
    row = replace(classifiers()[drifting], refit_keeps_scores=True)
    monkeypatch.setitem(classifiers(), drifting, row)
    assert exceeded(drifting, 20) > 4


def test_the_threshold_is_chosen_on_rows_that_no_fit_saw(drifting: str) -> None:
    """The threshold is that of left-out rows, which are recorded and not fitted on."""
    data = make_features(250, apart=0.5)
    model = fit(data, f"logreg,{drifting}", cv=2, options=BOUNDED, random_state=3)
    left_out = threshold_rows(data, np.arange(500), BOUNDED, 3)
    p = model.predict_proba(data.take(left_out))[:, 1]
    assert model.threshold == choose_threshold(data.y[left_out], p, max_fpr=0.05)
    assert model.about["threshold_images"] == len(left_out) == 250
    changed = data.X.copy()
    changed[left_out] += 1
    again = fit(
        replace(data, X=changed), f"logreg,{drifting}", cv=2, options=BOUNDED, random_state=3
    )
    assert np.array_equal(again.predict_proba(data), model.predict_proba(data))


def test_entries_of_a_benchmark_hold_out_rows_separately(drifting: str) -> None:
    """An entry does not depend on other classifiers, and their vote has a threshold."""
    data = make_features(250, apart=1.0)
    alone = benchmark(data, "logreg", protocol=2, options=BOUNDED)
    both = benchmark(data, f"logreg,{drifting}", protocol=2, options=BOUNDED, vote="all")
    assert both.thresholds["logreg"] == alone.thresholds["logreg"]
    assert all(np.isfinite(both.thresholds[entry]).all() for entry in both.entries)
    assert {drifting, SOFT_VOTE, "stacking"} <= set(both.thresholds)


def test_too_few_negatives_for_two_parts_are_refused(drifting: str) -> None:
    """The error states twice the number of negatives and suggests a feasible rate."""
    match = rf"needs 118 .*half of them .* threshold of {drifting}, but fold 0 has 80.*fpr 0.073 "
    with pytest.raises(DataError, match=match):
        benchmark(make_features(160), drifting, protocol=2, options=BOUNDED)
    benchmark(make_features(160), drifting, protocol=2, options=FitOptions(max_fpr=0.073))


def test_parameter_searches_and_some_classifiers_hold_out_rows() -> None:
    """Searches, and classifiers that were not measured, hold out rows."""
    assert not holds_out(["logreg", "svm"], BOUNDED)
    assert not holds_out(["mlp"], FitOptions(threshold="accuracy"))
    for names in (["mlp"], ["logreg", "mlp"], ["triplet+logreg"]):
        assert holds_out(names, BOUNDED)
    assert holds_out(["logreg"], replace(BOUNDED, tune=True))
    sigmoid = replace(BOUNDED, calibrate="sigmoid")
    assert not holds_out(["logreg", "knn", "svm"], sigmoid)
    for name in ("rf", "et", "lgbm", "xgb", "histgb", "mlp"):
        assert holds_out([name], sigmoid)
    assert holds_out(["logreg"], replace(BOUNDED, calibrate="isotonic"))
    assert not ClassifierRow("new", "a:b", "").refit_keeps_scores
    assert not PROJECTIONS["triplet"].refit_keeps_scores


@pytest.mark.parametrize("n", [118, 700, 2000])
def test_the_left_out_part_has_enough_negatives(n: int) -> None:
    """Groups are not divided, and larger training sets hold out a smaller part."""
    y = np.arange(2 * n) % 2
    groups = np.random.default_rng(n).integers(0, n // 3, 2 * n).astype(str)
    data = FeatureSet.from_arrays(np.zeros((2 * n, 1)), [("real", "fake")[code] for code in y])
    data = replace(data, groups=groups)
    train = np.arange(2 * n)
    part = threshold_rows(data, train, BOUNDED, 0)
    assert (y[part] == 0).sum() >= negatives_needed(0.05)
    assert not set(groups[part]) & set(np.delete(groups, part))
    assert len(part) / len(train) == pytest.approx(max(1 / (n // 236 or 2), 0.2), abs=0.06)


@pytest.mark.parametrize("vote", ["greedy", "stacking"])
def test_a_learned_vote_uses_its_own_weights_for_the_threshold(vote: str) -> None:
    """The threshold is chosen on the vote's combined out-of-fold probabilities."""
    data = make_features(200, apart=1.0)
    model = fit(data, "logreg,knn", cv=3, options=BOUNDED, vote=vote)
    run = benchmark(data, "logreg,knn", protocol=3)
    p = [run.probabilities[entry] for entry in model.members]
    if vote == "stacking":
        from clipfeat.ensemble.stacking import log_odds

        combined = model.estimator.blend_.predict_proba(log_odds(p))[:, 1]
    else:
        weights = [model.about["weights"][entry] for entry in model.members]
        combined = np.average([one[:, 1] for one in p], axis=0, weights=weights)
    assert model.threshold == pytest.approx(choose_threshold(run.y, combined, max_fpr=0.05))
