"""Tests of scaling features before the classifier."""

from typing import Any

import numpy as np
import pytest

from clipfeat.evaluate.fitting import fit
from clipfeat.zoo import classifiers
from clipfeat.zoo.building import build
from clipfeat.zoo.fit_options import SCALES, FitOptions
from clipfeat.zoo.scaling import make_scaler
from tests.conftest import make_features
from tests.model.round_trip import loaded
from tests.store.test_streaming import in_blocks

SCALED = ["logreg", "linsvm", "ridge", "svm", "mlp", "knn", "prototype", "triplet+logreg"]


def fitted(name: str, X: Any, y: Any, scale: str) -> Any:
    return build(name, FitOptions(scale=scale), n_jobs=1).fit(X, y)


def test_scalers() -> None:
    """With two of the scalers, rows have a mean squared norm of 1. The third changes nothing."""
    X = np.random.default_rng(0).normal(3, 9, (400, 50)).astype(np.float32)
    for scale in ("standard", "l2"):
        rows = make_scaler(scale).fit_transform(X)
        assert np.square(rows).sum(axis=1).mean() == pytest.approx(1, abs=1e-5)
    assert make_scaler("none") == "passthrough"


@pytest.mark.parametrize("name", SCALED)
def test_scale_changes_these_classifiers(name: str) -> None:
    """Each scale gives other probabilities, and is stored bit for bit."""
    data, fresh = make_features(60, apart=3.0), make_features(60, apart=3.0, seed=1)
    factors = np.linspace(1, 5, data.X.shape[1], dtype=np.float32)
    X, X_fresh = data.X * factors, fresh.X * factors
    p = {}
    for scale in SCALES:
        model = fitted(name, X, data.y, scale)
        p[scale] = model.predict_proba(X_fresh)
        assert (p[scale].argmax(axis=1) == fresh.y).mean() > 0.8
        again = loaded(model)
        assert np.array_equal(again.predict_proba(X_fresh), p[scale])
    assert not np.allclose(p["standard"], p["l2"], atol=1e-4)
    assert np.allclose(p["l2"], p["none"], atol=1e-4) == (name in ("knn", "prototype"))


@pytest.mark.parametrize("name", [name for name in classifiers() if name not in SCALED])
def test_the_others_ignore_it(name: str) -> None:
    """Classifiers that do not use scaling give equal probabilities for every scale."""
    data = make_features(30)
    p = [fitted(name, data.X, data.y, scale).predict_proba(data.X) for scale in SCALES]
    assert np.array_equal(p[0], p[1])
    assert np.array_equal(p[0], p[2])


@pytest.mark.parametrize("name", ["logreg", "linsvm"])
@pytest.mark.parametrize("scale", ["l2", "none"])
def test_a_scale_is_the_same_out_of_core(name: str, scale: str) -> None:
    """Probabilities equal those in memory, up to the solver's tolerance."""
    data = make_features(60, apart=1.0)
    options = FitOptions(scale=scale)
    in_memory = fit(data, name, cv=0, options=options)
    streamed = fit(in_blocks(data, [7, 30]), name, cv=0, options=options)
    assert str(streamed.estimator) == str(in_memory.estimator)
    apart = np.abs(streamed.predict_proba(data) - in_memory.predict_proba(data)).max()
    assert apart < 0.01


@pytest.mark.parametrize("name", ["logreg", "ridge"])
@pytest.mark.parametrize("scale", ["l2", "none"])
def test_a_search_uses_the_scale(name: str, scale: str) -> None:
    """Both kinds of parameter search work with every scale."""
    data = make_features(30, apart=1.0)
    model = fit(data, name, cv=0, options=FitOptions(scale=scale, tune=True))
    assert model.about["tuned"][name]["tried"] > 0
    assert model.about["scale"] == scale


def test_the_default_is_not_recorded() -> None:
    """The default adds nothing to records and cache keys, so older ones stay valid."""
    assert "scale" not in FitOptions().record()
    assert FitOptions(scale="l2").record()["scale"] == "l2"
