"""Tests of stacking."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from clipfeat.ensemble import StackedClassifier
from clipfeat.zoo import make_classifier
from clipfeat.zoo.folds import inner_folds
from tests.conftest import make_features

MEMBERS = [("lr", LogisticRegression()), ("nb", GaussianNB())]


@parametrize_with_checks([StackedClassifier(MEMBERS, n_splits=2)])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    """`StackedClassifier` passes scikit-learn's estimator checks."""
    check(estimator)


def test_a_member_that_memorises_gets_no_weight() -> None:
    """A 1-nearest neighbour that is perfect only in training gets a small coefficient."""
    data = make_features(100, apart=2.0, n_features=2)
    X = np.hstack([data.X, np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)])
    tree = make_classifier("knn").set_params(cappedneighborsclassifier__n_neighbors=1)
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline

    honest = make_pipeline(ColumnTransformer([("x", "passthrough", [0, 1])]), LogisticRegression())
    stack = StackedClassifier([("good", honest), ("memory", tree)], random_state=0)
    stack.fit(X, data.y)
    good, memory = stack.blend_.coef_[0]
    assert good > 5 * abs(memory)


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
def test_known_out_of_fold_probabilities_give_the_same(classes: tuple[str, ...]) -> None:
    """Given probabilities give the same model as computed ones. NaN rows are skipped."""
    data = make_features(30, classes, groups=True)
    made = StackedClassifier(MEMBERS, n_splits=3, random_state=0)
    made.fit(data.X, data.labels, groups=data.groups)
    known = [np.full((len(data), len(classes)), np.nan) for _ in MEMBERS]
    for train, test in inner_folds(data.labels, data.groups, 3, 0):
        for p, (_, member) in zip(known, MEMBERS, strict=True):
            p[test] = member.fit(data.X[train], data.labels[train]).predict_proba(data.X[test])
    given = StackedClassifier(MEMBERS).fit(data.X, data.labels, out_of_fold=known)
    assert np.allclose(given.predict_proba(data.X), made.predict_proba(data.X))
    known[0][::3] = np.nan
    given = StackedClassifier(MEMBERS).fit(data.X, data.labels, out_of_fold=known)
    assert np.isfinite(given.predict_proba(data.X)).all()
