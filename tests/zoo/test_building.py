"""Tests of estimators built from fitting options."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from clipfeat.evaluate.metrics import METRICS
from clipfeat.zoo import CHANCE, classifiers
from clipfeat.zoo.bagging import BaggedClassifier
from clipfeat.zoo.building import build
from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.fit_options import CALIBRATIONS, FitOptions
from tests.conftest import make_features
from tests.model.round_trip import loaded


@parametrize_with_checks(
    [
        BaggedClassifier(LogisticRegression(), n_splits=2, random_state=0),
        *(GroupCalibratedClassifier(SVC(), method=method) for method in CALIBRATIONS[1:]),
        GroupCalibratedClassifier(LogisticRegression(), ensemble=True),
    ]
)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    """The estimators of clipfeat pass scikit-learn's estimator checks."""
    check(estimator)


@pytest.mark.parametrize("bag", [0, 3])
@pytest.mark.parametrize("calibrate", CALIBRATIONS)
@pytest.mark.parametrize("name", ["logreg", "svm", "lgbm"])
def test_a_round_trip_is_equal_to_the_bit(name: str, calibrate: str, bag: int) -> None:
    """A loaded estimator gives bit-identical probabilities, and rows sum to 1."""
    data = make_features(20, ("a", "b", "c"), apart=3.0, groups=True)
    model = build(name, FitOptions(calibrate=calibrate, bag=bag, balance="prior"), n_jobs=1)
    model.fit(data.X, data.labels, groups=data.groups)
    p = model.predict_proba(data.X)
    again = loaded(model)
    assert np.array_equal(again.predict_proba(data.X), p)
    assert np.allclose(p.sum(axis=1), 1)


def test_calibration_calibrates() -> None:
    """Every method lowers the calibration error of an overconfident classifier."""
    data = make_features(400, apart=1.0, n_features=60)
    overconfident = {"logisticregression__C": 1e4}
    rows = np.arange(len(data)) % 2 == 0

    def error(calibrate: str) -> float:
        model = build("logreg", FitOptions(calibrate=calibrate), params=overconfident)
        model.fit(data.X[rows], data.y[rows])
        return METRICS["calibration_error"].function(
            data.y[~rows], model.predict_proba(data.X[~rows])
        )

    assert all(error(method) < 0.7 * error("none") for method in CALIBRATIONS[1:])


def test_nothing_is_calibrated_twice() -> None:
    """The calibration method replaces the SVM's built-in calibration."""
    svm = build("svm", FitOptions(calibrate="isotonic", bag=4))
    assert (svm.method, svm.ensemble, svm.n_splits) == ("isotonic", True, 4)
    assert not isinstance(svm.estimator, GroupCalibratedClassifier)
    assert build("svm").method == "sigmoid"


@pytest.mark.parametrize("name", classifiers())
def test_a_bag_is_the_mean_of_its_folds(name: str) -> None:
    """Every classifier can be bagged, and the folds respect groups."""
    data = make_features(12, groups=True)
    model = build(name, FitOptions(bag=3), n_jobs=1)
    if name == CHANCE:
        assert not hasattr(model, "n_splits")
        return
    model.fit(data.X, data.y, groups=data.groups)
    members = getattr(model, "estimators_", None) or model.calibrated_.calibrated_classifiers_
    assert len(members) == 3
    mean = np.mean([member.predict_proba(data.X) for member in members], axis=0)
    assert np.allclose(model.predict_proba(data.X), mean)
