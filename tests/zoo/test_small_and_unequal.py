"""Tests of few images per class, and of classes of unequal size."""

import warnings
from typing import Any

import numpy as np
import pytest

from clipfeat.errors import ClipfeatWarning, LabelError
from clipfeat.evaluate.fitting import fit
from clipfeat.evaluate.tidy_rows import POOLED
from clipfeat.zoo import CHANCE, classifiers, make_classifier
from clipfeat.zoo.balance import OversampledClassifier
from clipfeat.zoo.building import build
from clipfeat.zoo.fit_options import BALANCES, FitOptions
from clipfeat.zoo.folds import fit_with_groups, inner_folds
from tests.conftest import make_features

TREES = {"lgbm", "histgb", "xgb"}  # too few rows to split a node


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", [*classifiers(), "triplet+svm"])
def test_five_images_a_class(name: str, grouped: bool, balance: str) -> None:
    """Five rows of each of three classes suffice for a fit above chance."""
    few = make_features(5, ("a", "b", "c"), apart=5.0, n_features=20)
    groups = np.array([f"{c}{i}" for c in "abc" for i in (0, 0, 1, 1, 2 - (c == "a"))])
    model = build(name, FitOptions(balance=balance), n_jobs=1)
    fit_with_groups(model, few.X, few.labels, groups if grouped else None)
    fresh = make_features(30, ("a", "b", "c"), apart=5.0, n_features=20, seed=1)
    p = model.predict_proba(fresh.X)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-5)
    right = (model.classes_[p.argmax(axis=1)] == fresh.labels).mean()
    assert name == CHANCE or right > (0.3 if name in TREES else 0.6)


@pytest.mark.parametrize("name", ["svm", "prototype", "mlp"])
def test_a_class_of_one_group(name: str) -> None:
    """If a class is a single group, inner folds divide groups, with a warning."""
    few = make_features(5, apart=5.0)
    groups = np.array(["one"] * 5 + ["x", "x", "y", "y", "z"])
    with pytest.warns(ClipfeatWarning, match="rows of one group are in different folds"):
        model = fit_with_groups(make_classifier(name, n_jobs=1), few.X, few.y, groups)
    assert (model.predict(few.X) == few.y).all()


def test_inner_folds_prefer_fewer_grouped_folds() -> None:
    """Fewer folds are preferred to divided groups. A class of one row is an error."""
    y = np.repeat([0, 1], 6)
    groups = np.repeat(np.arange(6), 2)
    splits = inner_folds(y, groups, 5, 0)
    assert len(splits) == 3
    assert all(not set(groups[train]) & set(groups[test]) for train, test in splits)
    with pytest.raises(LabelError, match="has 1 images"):
        inner_folds(np.array([0, 1, 1]), None, 5, 0)


def test_groups_with_all_classes() -> None:
    """Two groups that each have both classes give two folds."""
    splits = inner_folds(np.array([0, 1] * 4), np.repeat([0, 1], 4), 5, 0)
    assert [len(test) for _, test in splits] == [4, 4]


@pytest.mark.parametrize("balance", BALANCES[1:])
@pytest.mark.parametrize("name", ["logreg", "svm", "xgb", "mlp", "knn"])
def test_every_balance_finds_more_of_the_rare_class(name: str, balance: str) -> None:
    """Balancing raises the recall of a class with one row in twelve."""
    data, fresh = make_features(240, apart=1.5), make_features(200, apart=1.5, seed=1)
    kept = np.flatnonzero((data.y == 0) | (np.arange(480) % 12 == 0))
    recall = [
        build(name, FitOptions(balance=name_of_balance), n_jobs=1)
        .fit(data.X[kept], data.y[kept])
        .predict(fresh.X)[fresh.y == 1]
        .mean()
        for name_of_balance in ("none", balance)
    ]
    assert recall[1] > recall[0] + 0.02


def test_sampling_keeps_every_row_and_groups_its_copies() -> None:
    """All rows are kept, classes have equal sizes, and copies share a group."""
    seen: list[Any] = []

    class Spy:
        classes_ = np.array([0, 1])

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            return {}

        def fit(self, X: Any, y: Any, groups: Any = None) -> "Spy":
            seen.append((X, y, groups))
            return self

    X = np.arange(10, dtype=np.float32)[:, None]
    OversampledClassifier(Spy(), random_state=0).fit(X, np.array([0] * 7 + [1] * 3))
    rows, labels, groups = seen[0]
    assert np.bincount(labels).tolist() == [7, 7]
    assert set(rows.ravel()) == set(range(10))
    assert (groups == rows.ravel()).all()


@pytest.mark.parametrize("balance", ["none", "prior"])
def test_fit_and_score_on_few_groups(balance: str) -> None:
    """Three groups per class suffice for outer and inner folds, without a warning."""
    data = make_features(9, apart=4.0)
    groups = np.array([f"{label}{i % 3}" for i, label in enumerate(data.labels)])
    from dataclasses import replace

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(
            replace(data, groups=groups), "svm,lda,mlp", cv=3, options=FitOptions(balance=balance)
        )
    assert {row["fold"] for row in model.scores} == {"0", "1", "2", POOLED}
