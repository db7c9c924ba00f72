"""Tests that every estimator of the zoo is stored without changing a bit of its predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from clipfeat.ensemble import SoftVotingClassifier, StackedClassifier
from clipfeat.errors import UsageError
from clipfeat.features import FeatureSet
from clipfeat.model import Model, load_model
from clipfeat.zoo import PROJECTIONS, classifiers
from clipfeat.zoo.building import build
from clipfeat.zoo.columns import ColumnRange
from clipfeat.zoo.fit_options import BALANCES, CALIBRATIONS, SCALES, FitOptions
from clipfeat.zoo.folds import fit_with_groups
from tests.conftest import make_features

VARIANTS = {
    "plain": FitOptions(),
    "plain code": FitOptions(accelerate=False),
    **{f"scale {scale}": FitOptions(scale=scale) for scale in SCALES[1:]},
    **{f"balance {balance}": FitOptions(balance=balance) for balance in BALANCES[1:]},
    **{method: FitOptions(calibrate=method) for method in CALIBRATIONS[1:]},
    "bag": FitOptions(bag=2),
    "calibrated bag": FitOptions(calibrate="isotonic", bag=2, balance="prior"),
}


def data(n_classes: int) -> FeatureSet:
    return make_features(14, tuple("abc")[:n_classes], apart=1.5, n_features=7, groups=True)


def fitted(name: str, features: FeatureSet, options: FitOptions = FitOptions()) -> Any:
    estimator = build(name, options, n_jobs=1, params=fewer(name))
    return fit_with_groups(estimator, features.X, features.y, features.groups)


def fewer(name: str) -> dict[str, Any]:
    """Return parameters that make a fit fast."""
    few: dict[str, dict[str, Any]] = {
        **{name: {"n_estimators": 12} for name in ("rf", "et", "lgbm", "xgb")},
        "mlp": {"epochs": 2},
        "histgb": {"max_leaf_nodes": 3},
    }
    return few.get(name, {})


def check(estimator: Any, features: FeatureSet, folder: Path) -> Model:
    """Save and load a model twice, and check that its predictions are bit-identical."""
    model = Model(estimator, features.classes, features.specs)
    path = model.save(folder / "model.clipfeat")
    expected = model.predict_proba(features)
    for number in range(2):
        model = load_model(path)
        again = model.predict_proba(features)
        assert again.dtype == expected.dtype
        assert np.array_equal(again, expected)
        path = model.save(folder / f"again-{number}.clipfeat")
    assert path.read_bytes() == (folder / "again-0.clipfeat").read_bytes()
    return model


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", classifiers())
def test_every_classifier(name: str, variant: str, tmp_path: Path) -> None:
    """Each classifier is stored with each option, for two and three classes."""
    for n_classes in (2, 3) if variant in ("plain", "sigmoid", "isotonic") else (2,):
        features = data(n_classes)
        folder = tmp_path / str(n_classes)
        check(fitted(name, features, VARIANTS[variant]), features, folder)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_every_projection(projection: str, n_classes: int, tmp_path: Path) -> None:
    """Each projection is stored together with logreg and with svm."""
    features = data(n_classes)
    for clf in ("logreg", "svm"):
        check(fitted(f"{projection}+{clf}", features), features, tmp_path / clf)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_ensemble(n_classes: int, tmp_path: Path) -> None:
    """Votes with and without weights, stacks, and members with their own columns are stored."""
    features = data(n_classes)
    columns = make_pipeline(ColumnRange(2, 5), build("knn", n_jobs=1))
    members = [("logreg", build("logreg")), ("xgb", build("xgb", n_jobs=1)), ("knn", columns)]
    ensembles = {
        "uniform": SoftVotingClassifier(members),
        "weights": SoftVotingClassifier(members, weights=[0.3, 0.0, 0.7]),
        "stack": StackedClassifier(members, random_state=0),
    }
    for name, one in ensembles.items():
        model = check(one.fit(features.X, features.y, features.groups), features, tmp_path / name)
        assert list(model.estimator.estimators_) == (
            ["logreg", "knn"] if name == "weights" else ["logreg", "xgb", "knn"]
        )


def test_approximations_for_many_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Nyström SVM and the neighbour index are loaded without warnings."""
    for module in ("svm", "knn"):
        monkeypatch.setattr(f"clipfeat.zoo.{module}.LARGE", 10)
        monkeypatch.setattr(f"clipfeat.zoo.{module}.warn_of_size", lambda text: None)
    monkeypatch.setattr("clipfeat.zoo.svm.BASIS", 5)
    features = make_features(100, apart=1.5)
    for name in ("svm", "knn"):
        check(fitted(name, features), features, tmp_path / name)


def test_an_estimator_without_codec_is_not_saved(tmp_path: Path) -> None:
    """The error names the class, even if it has the name of a supported class."""
    features = data(2)

    class Pipeline(GaussianNB):
        """Estimator that has the name of another class."""

    for one in (GaussianNB(), Pipeline(), SoftVotingClassifier([("nb", GaussianNB())])):
        model = Model(one.fit(features.X, features.y), features.classes, features.specs)
        with pytest.raises(UsageError, match=r"cannot hold a \w+, because this class has no codec"):
            model.save(tmp_path / "model.clipfeat")
    assert not list(tmp_path.iterdir())
