"""Tests of properties that every classifier has."""

import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from clipfeat.errors import MissingExtraError, UnknownNameError, UsageError
from clipfeat.model.codecs import decode, encode
from clipfeat.zoo import CHANCE, classifiers, make_classifier, parse_names
from clipfeat.zoo.balance import OversampledClassifier, PriorCorrectedClassifier
from clipfeat.zoo.building import build
from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.label_encoding import LabelEncodedClassifier
from clipfeat.zoo.mlp import MLPHeadClassifier
from clipfeat.zoo.primal import PrimalSVC
from clipfeat.zoo.prototype import PrototypeClassifier
from clipfeat.zoo.scaling import UnitScaler
from clipfeat.zoo.svm import AcceleratedSVC
from clipfeat.zoo.triplet import TripletProjection
from tests.conftest import make_features
from tests.model.round_trip import loaded

Data = tuple[NDArray[np.float32], NDArray[Any]]
NAMES = [*classifiers(), "triplet+logreg"]


@pytest.fixture(scope="module")
def faces() -> Data:
    """Return 100 faces and 100 other images of scikit-image, 25×25, as float32 rows."""
    import skimage.data

    images = skimage.data.lfw_subset()
    labels = np.array(["face"] * 100 + ["other"] * 100)
    return images.reshape(200, -1).astype(np.float32), labels


def three_classes() -> Data:
    features = make_features(40, ("a", "b", "c"), apart=4.0)
    return features.X, features.labels


@pytest.mark.parametrize("name", NAMES)
def test_learns_faces(name: str, faces: Data) -> None:
    """Accuracy on real images is far above chance. Columns follow ``classes_``."""
    X, y = faces
    model = make_classifier(name, n_jobs=1).fit(X[::2], y[::2])
    p = model.predict_proba(X[1::2])
    assert model.classes_.tolist() == ["face", "other"]
    assert p.shape == (100, 2)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-5)
    accuracy = (model.classes_[p.argmax(axis=1)] == y[1::2]).mean()
    assert (
        accuracy == 0.5 if name == CHANCE else accuracy >= (0.75 if name == "prototype" else 0.85)
    )


@pytest.mark.parametrize("balance", ["none", "prior"])
@pytest.mark.parametrize("name", NAMES)
def test_many_classes_and_a_round_trip(name: str, balance: str) -> None:
    """Each classifier fits three classes of strings and is loaded bit for bit."""
    X, y = three_classes()
    model = build(name, FitOptions(balance=balance), n_jobs=1).fit(X, y)
    again = loaded(model)
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    assert name == CHANCE or (model.predict(X) == y).mean() > 0.8


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["xgb", "mlp", "triplet+logreg"])
def test_a_gpu_fit_agrees_with_a_cpu_fit(name: str, faces: Data) -> None:
    """Predictions agree with a CPU fit, and the model is loaded bit for bit."""
    X, y = faces
    gpu, cpu = (
        make_classifier(name, FitOptions(accelerate=accelerate), n_jobs=1).fit(X[::2], y[::2])
        for accelerate in (True, False)
    )
    assert (gpu.predict(X[1::2]) == cpu.predict(X[1::2])).mean() > 0.9
    again = loaded(gpu)
    assert np.array_equal(again.predict_proba(X), gpu.predict_proba(X))


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides(name: str) -> None:
    """Equal seeds give bit-identical probabilities."""
    X, y = three_classes()
    first, second = (make_classifier(name, random_state=3, n_jobs=1).fit(X, y) for _ in range(2))
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))


@pytest.mark.parametrize("name", NAMES)
def test_balance_raises_the_rare_class(name: str) -> None:
    """Balancing raises the probability of a class with one image in twelve."""
    features = make_features(120, apart=1.0)
    kept = np.flatnonzero((features.y == 0) | (np.arange(240) % 12 == 0))
    X, y = features.X[kept], features.y[kept]
    rare = [
        build(name, FitOptions(balance=b), n_jobs=1)
        .fit(X, y)
        .predict_proba(features.X)[:, 1]
        .mean()
        for b in ("none", "prior")
    ]
    assert rare[1] > 1.2 * rare[0]


def test_names_are_read() -> None:
    """Lists, 'all', 'every' and projections are parsed. Misspelt names are errors."""
    assert parse_names("logreg, triplet+svm") == ["logreg", "triplet+svm"]
    assert parse_names("every") == list(classifiers())
    assert parse_names("all") == ["logreg", "knn", "rf", "lgbm", "xgb", "svm", "dummy"]
    for wrong, hint in (("logrge", "logreg"), ("triplet+logrge", "logreg"), ("tripel+svm", "trip")):
        with pytest.raises(UnknownNameError, match=f"did you mean {hint}"):
            parse_names(wrong)
    for wrong, message in (("", "no classifier is named"), ("svm,svm", "named 2 times")):
        with pytest.raises(UsageError, match=message):
            parse_names(wrong)
    with pytest.raises(UsageError, match="2 projections"):
        make_classifier("triplet+triplet+svm")


def test_pairs_are_calibrated_as_a_whole() -> None:
    """A projection and its classifier are calibrated together on held-out rows."""
    noise = make_features(100, apart=0.0, n_features=60)
    model = make_classifier("triplet+svm", n_jobs=1).fit(noise.X, noise.y)
    fresh = make_features(100, apart=0.0, n_features=60, seed=1)
    p = model.predict_proba(fresh.X)[np.arange(200), fresh.y]
    assert -np.log(p).mean() < np.log(2) + 0.05


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pytorch-metric-learning, the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    X, y = three_classes()
    with pytest.raises(MissingExtraError, match=r"clipfeat\[metric\]"):
        make_classifier("triplet+logreg").fit(X, y)


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
def test_primal_svc_is_liblinears(classes: tuple[str, ...]) -> None:
    """Scores equal those of LinearSVC with a large intercept scaling."""
    features = make_features(60, classes, apart=2.0)
    ours = PrimalSVC(0.5).fit(features.X, features.labels).decision_function(features.X)
    theirs = LinearSVC(C=0.5, intercept_scaling=100, dual=False, tol=1e-8)
    theirs.fit(features.X, features.labels)
    assert np.abs(ours - theirs.decision_function(features.X)).max() < 0.02


def test_prototypes_are_calibrated_on_noise() -> None:
    """If the classes do not differ, the probabilities are the class frequencies."""
    noise = make_features(300, apart=0.0)
    p = make_classifier("prototype").fit(noise.X, noise.y).predict_proba(noise.X)
    assert np.abs(p - 0.5).max() < 0.1


def test_early_stopping_uses_held_out_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows held out for early stopping share no group with the fitted rows."""
    features = make_features(30, groups=True)
    seen: list[Any] = []
    train = MLPHeadClassifier._train

    def spy(self: Any, X: Any, codes: Any, weight: Any, rows: Any, held: Any) -> Any:
        seen.append((rows, held))
        return train(self, X, codes, weight, rows, held)

    monkeypatch.setattr(MLPHeadClassifier, "_train", spy)
    make_classifier("mlp").set_params(mlpheadclassifier__epochs=2).fit(
        features.X, features.y, mlpheadclassifier__groups=features.groups
    )
    rows, held = seen[0]
    assert len(held)
    assert not set(features.groups[rows]) & set(features.groups[held])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_accelerated_svc_is_the_plain_one(n_classes: int) -> None:
    """An accelerated SVC has the attributes and scores of scikit-learn's SVC."""
    features = make_features(60, ("a", "b", "c")[:n_classes], apart=3.0)
    fast = AcceleratedSVC(C=4.0, decision_function_shape="ovo").fit(features.X, features.labels)
    plain = SVC(C=4.0, decision_function_shape="ovo").fit(features.X, features.labels)
    assert set(vars(plain)) <= set(vars(fast))
    assert (
        np.abs(fast.decision_function(features.X) - plain.decision_function(features.X)).max()
        < 0.02
    )


@pytest.mark.parametrize("name", ["svm", "rf"])
def test_nothing_needs_the_accelerator(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits work without the accelerator, and so do models fitted with it."""
    X, y = three_classes()
    fast = make_classifier(name, n_jobs=1).fit(X, y)
    node, arrays = encode(fast)
    for module in ("sklearnex", "sklearnex.svm", "sklearnex.ensemble", "daal4py", "onedal"):
        monkeypatch.setitem(sys.modules, module, None)
    again = decode(node, arrays, X.shape[1])
    assert np.array_equal(again.predict_proba(X), fast.predict_proba(X))
    without = make_classifier(name, n_jobs=1).fit(X, y)
    by_option = make_classifier(name, FitOptions(accelerate=False), n_jobs=1).fit(X, y)
    assert np.allclose(without.predict_proba(X), by_option.predict_proba(X), atol=1e-4)
    assert (without.predict(X) == fast.predict(X)).mean() > 0.95


def test_a_grown_forest_is_scikit_learns() -> None:
    """A forest copied from the accelerator gives its probabilities, up to rounding."""
    ensemble = pytest.importorskip("sklearnex.ensemble")
    X, y = three_classes()
    ours = make_classifier("rf", n_jobs=1).fit(X, y)
    theirs = ensemble.RandomForestClassifier(200, random_state=0, n_jobs=1, max_bins=64).fit(X, y)
    assert np.abs(ours.predict_proba(X) - theirs.predict_proba(X)).max() < 1e-6


@pytest.mark.parametrize("n_classes", [2, 3, 4])
@pytest.mark.parametrize("shape", ["ovr", "ovo"])
def test_whole_matrices_score_as_libsvm_does(n_classes: int, shape: str) -> None:
    """Scores by float32 matrix products equal libsvm's, even far from the origin."""
    features = make_features(60, tuple("abcd")[:n_classes], apart=1.5)
    X = features.X + 100
    fitted = AcceleratedSVC(C=4.0, decision_function_shape=shape).fit(X, features.labels)
    exact = SVC.decision_function(fitted, X)
    assert np.abs(fitted.decision_function(X) - exact).max() < 1e-3


def test_calibration_keeps_groups_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calibration folds of the SVM do not divide groups."""
    seen: list[Any] = []
    from clipfeat.zoo import calibration

    original = calibration.inner_folds
    monkeypatch.setattr(
        calibration,
        "inner_folds",
        lambda *args: seen.append((args[1], original(*args))) or seen[-1][1],
    )
    features = make_features(30, groups=True)
    make_classifier("svm").fit(features.X, features.y, groups=features.groups)
    groups, splits = seen[0]
    assert all(not set(groups[train]) & set(groups[test]) for train, test in splits)


def test_scaled_rows_have_unit_norm_for_any_width() -> None:
    """Scaled rows have a mean squared norm of 1, for any number of features."""
    rng = np.random.default_rng(0)
    for width in (5, 500):
        rows = UnitScaler().fit_transform(rng.normal(3, 9, (400, width)))
        assert np.isclose(np.square(rows).sum(axis=1).mean(), 1, atol=1e-6)


@parametrize_with_checks(
    [
        LabelEncodedClassifier(LogisticRegression()),
        PriorCorrectedClassifier(make_classifier("logreg")),
        OversampledClassifier(make_classifier("logreg")),
        GroupCalibratedClassifier(SVC()),
        PrimalSVC(),
        PrototypeClassifier(random_state=0),
        MLPHeadClassifier(random_state=0, n_jobs=1, hidden=32, learning_rate=0.02, dropout=0.1),
        TripletProjection(random_state=0, n_jobs=1, epochs=2),
        UnitScaler(),
    ]
)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    """The estimators of clipfeat pass scikit-learn's estimator checks."""
    check(estimator)
