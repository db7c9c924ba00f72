"""Tests of approximate kernels and neighbours for large data."""

import numpy as np
import pytest

from clipfeat.errors import ClipfeatWarning
from clipfeat.zoo import knn, make_classifier, svm
from clipfeat.zoo.scaling import ROWS, UnitScaler
from tests.conftest import make_features
from tests.model.round_trip import loaded


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
@pytest.mark.parametrize(
    ("name", "module", "warning"), [("svm", svm, "Nyström"), ("knn", knn, "approximate index")]
)
def test_large_data_are_approximated_with_a_warning(
    name: str,
    module: object,
    warning: str,
    classes: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Most predictions agree with the exact method, and models are loaded bit for bit."""
    features = make_features(300, classes, apart=2.5, n_features=16)
    X, y = features.X[::2], features.labels[::2]
    exact = make_classifier(name, n_jobs=1).fit(X, y).predict_proba(features.X[1::2])
    monkeypatch.setattr(module, "LARGE", 100)
    monkeypatch.setattr(svm, "BASIS", 100)
    with pytest.warns(ClipfeatWarning, match=warning):
        model = make_classifier(name, n_jobs=1).fit(X, y)
    p = model.predict_proba(features.X[1::2])
    assert (p.argmax(axis=1) == exact.argmax(axis=1)).mean() > 0.9
    assert (model.predict(features.X[1::2]) == model.classes_[p.argmax(axis=1)]).all()
    again = loaded(model)
    assert np.array_equal(again.predict_proba(features.X[1::2]), p)


def test_blockwise_scaling_equals_scaling_in_one_call() -> None:
    """Mean and scale computed in blocks equal those of all rows, up to rounding."""
    X = np.random.default_rng(0).normal(5, 3, (ROWS + 1000, 3)).astype(np.float32)
    parts, whole = UnitScaler().fit(X), UnitScaler().fit(X, sample_weight=np.ones(len(X)))
    assert np.allclose(parts.mean_, whole.mean_, rtol=1e-6)
    assert np.allclose(parts.scale_, whole.scale_, rtol=1e-6)
