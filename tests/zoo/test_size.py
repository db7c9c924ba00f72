"""What happens past the number of rows up to which kernels and neighbours are exact."""

import numpy as np
import pytest
import skops.io

from clipfeat.errors import ClipfeatWarning
from clipfeat.model.model_file import TRUSTED, dump_estimator
from clipfeat.zoo import knn, make_classifier, svm
from clipfeat.zoo.scaling import ROWS, UnitScaler
from tests.conftest import make_features


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
@pytest.mark.parametrize(
    ("name", "module", "said"), [("svm", svm, "Nyström"), ("knn", knn, "an index")]
)
def test_large_sets_are_approximated_and_that_is_said(
    name: str, module: object, said: str, classes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit: a warning, mostly the same decisions, and a bit-equal round trip."""
    features = make_features(300, classes, apart=2.5, n_features=16)
    X, y = features.X[::2], features.labels[::2]
    exact = make_classifier(name, n_jobs=1).fit(X, y).predict_proba(features.X[1::2])
    monkeypatch.setattr(module, "LARGE", 100)
    monkeypatch.setattr(svm, "BASIS", 100)
    with pytest.warns(ClipfeatWarning, match=said):
        model = make_classifier(name, n_jobs=1).fit(X, y)
    p = model.predict_proba(features.X[1::2])
    assert (p.argmax(axis=1) == exact.argmax(axis=1)).mean() > 0.9
    assert (model.predict(features.X[1::2]) == model.classes_[p.argmax(axis=1)]).all()
    dumped = dump_estimator(model)
    assert set(skops.io.get_untrusted_types(data=dumped)) <= set(TRUSTED)
    again = skops.io.loads(dumped, trusted=list(TRUSTED))
    assert np.array_equal(again.predict_proba(features.X[1::2]), p)


def test_scaling_in_parts_is_scaling_at_once() -> None:
    """Past a number of rows, mean and scale come part by part, equal to rounding."""
    X = np.random.default_rng(0).normal(5, 3, (ROWS + 1000, 3)).astype(np.float32)
    parts, whole = UnitScaler().fit(X), UnitScaler().fit(X, sample_weight=np.ones(len(X)))
    assert np.allclose(parts.mean_, whole.mean_, rtol=1e-6)
    assert np.allclose(parts.scale_, whole.scale_, rtol=1e-6)
