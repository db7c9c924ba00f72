"""Tests of out-of-core fits on features that are read in blocks."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.errors import StorageError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet
from clipfeat.fits.fit_resources import FitResources
from clipfeat.model import load_model
from clipfeat.prediction.predicting import predict
from clipfeat.store import load
from clipfeat.store.streaming import StreamedFeatures, stream
from clipfeat.system.progress import Phase
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.streamed import streamed_names
from clipfeat.zoo.streamed.classifier import StreamedClassifier
from tests.conftest import make_features, make_spec, write_parts
from tests.store.test_streaming import in_blocks

NEAR = 0.01
"""Largest difference of a linear classifier's probabilities from a fit in memory, due to the
tolerance of the solver. Boosters on the same bins are equal."""
EXACT = ("lgbm", "xgb")


def in_halves(n_classes: int, n_per_class: int = 90) -> FeatureSet:
    """Make features with groups, equal images, missing labels and unequal classes, in float16."""
    features = make_features(n_per_class, ("a", "b", "c")[:n_classes], groups=True, apart=1.0)
    kept = features.take((features.y > 0) | (np.arange(len(features)) % 3 > 0))
    keys = kept.keys.copy()
    keys[1::20] = keys[::20][: len(keys[1::20])]
    return replace(
        kept, X=kept.X * 3 + 5, keys=keys, y=np.where(np.arange(len(kept)) % 11, kept.y, -1),
        specs=(make_spec(precision="bf16"),),
    )  # fmt: skip


@pytest.fixture(params=[2, 3])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_parts(tmp_path / "out.h5", in_halves(request.param), 5)


@pytest.mark.filterwarnings("ignore:.*under two labels")
@pytest.mark.parametrize("name", streamed_names())
def test_the_model_is_that_of_a_fit_in_memory(name: str, path: Path, tmp_path: Path) -> None:
    """Probabilities, parameters and attributes are equal, also after saving."""
    loaded = load(path)
    known = fit(loaded, name, cv=0)
    with stream(path) as streamed:
        model = fit(streamed, name, cv=0)
    apart = np.abs(model.predict_proba(loaded) - known.predict_proba(loaded)).max()
    assert apart == 0 if name in EXACT else apart < NEAR
    assert str(model.estimator) == str(known.estimator)
    assert shape(model.estimator) == shape(known.estimator)
    assert (model.specs, model.classes, model.members) == (known.specs, known.classes, (name,))
    again = load_model(model.save(tmp_path / "model.clipfeat"))
    assert np.array_equal(again.predict_proba(loaded), model.predict_proba(loaded))
    assert predict(again, path).predicted == predict(model, path).predicted


def shape(value: Any) -> Any:
    """Return the types and attributes of an estimator, recursively."""
    if isinstance(value, list | tuple):
        return [shape(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape
    if type(value).__module__.startswith(("clipfeat", "sklearn", "lightgbm.sk", "xgboost.sk")):
        return type(value), {name: shape(item) for name, item in vars(value).items()}
    return type(value)


@pytest.mark.filterwarnings("ignore:.*under two labels")
@pytest.mark.parametrize(
    ("balance", "calibrate", "bag"),
    [("weights", "none", 2), ("sampling", "isotonic", 0), ("prior", "sigmoid", 2)],
)
def test_calibration_balance_and_bags_are_the_same(
    balance: str, calibrate: str, bag: int, tmp_path: Path
) -> None:
    """These options use the same folds and rows as in memory."""
    path = write_parts(tmp_path / "out.h5", in_halves(2))
    loaded = load(path)
    options = FitOptions(balance=balance, calibrate=calibrate, bag=bag)
    known = fit(loaded, "logreg,xgb", cv=0, options=options)
    with stream(path) as streamed:
        model = fit(streamed, "logreg,xgb", cv=0, options=options)
    assert shape(model.estimator) == shape(known.estimator)
    assert np.abs(model.predict_proba(loaded) - known.predict_proba(loaded)).max() < NEAR


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", streamed_names())
def test_the_order_of_the_file_does_not_matter(name: str, grouped: bool, tmp_path: Path) -> None:
    """A shuffled file gives the folds, scores and model of sorted rows in memory."""
    features = make_features(30, apart=1.0, groups=grouped)
    shuffled = features.take(np.random.default_rng(3).permutation(len(features)))
    known = fit(features, name, cv=2)
    with stream(write_parts(tmp_path / "out.h5", shuffled)) as streamed:
        model = fit(streamed, name, cv=2)
    apart = np.abs(model.predict_proba(features) - known.predict_proba(features)).max()
    assert apart == 0 if name in EXACT else apart < NEAR
    near = {"abs": 0 if name in EXACT else NEAR, "nan_ok": True}
    for one, other in zip(model.scores, known.scores, strict=True):
        assert (one["fold"], one["metric"]) == (other["fold"], other["metric"])
        if not one["metric"].endswith(("_seconds", "_bytes")):
            assert one["value"] == pytest.approx(other["value"], **near)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.sampled_from(streamed_names()))
def test_blocks_of_any_size_give_the_same(sizes: list[int], name: str) -> None:
    """The result does not depend on the sizes of the blocks."""
    features = make_features(40, ("a", "b", "c"), groups=True)
    models = [fit(in_blocks(features, cut), name, cv=0) for cut in (sizes, [120])]
    p, expected = (model.predict_proba(features) for model in models)
    apart = np.abs(p - expected).max()
    assert apart == 0 if name in EXACT else apart < NEAR


@pytest.mark.parametrize(
    ("name", "constant", "near"),
    [("xgb", "streamed_xgboost.PAGE_VALUES", 0.0), ("lgbm", "streamed_lightgbm.SAMPLE", 0.3)],
)
def test_data_larger_than_a_page_or_a_sample(
    name: str, constant: str, near: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XGBoost's pages change nothing. Bins from a sample change LightGBM slightly."""
    features = make_features(200, apart=2.0)
    expected = fit(in_blocks(features, [100]), name, cv=0).predict_proba(features)
    monkeypatch.setattr(f"clipfeat.zoo.streamed.{constant}", 150)
    p = fit(in_blocks(features, [100]), name, cv=0).predict_proba(features)
    assert np.abs(p - expected).mean() <= near
    assert (p.argmax(axis=1) == features.y).mean() > 0.95


@pytest.mark.parametrize("name", streamed_names())
def test_it_can_be_interrupted(name: str) -> None:
    """Ctrl-C stops every pass over the features."""
    features = in_blocks(make_features(), [7] * 5)
    counter: Iterator[int] = iter(range(100))

    def stop(phase: Phase) -> None:
        if "pass " in phase.detail and next(counter) > 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(features, name, cv=0, progress=stop)


def test_a_full_disk_is_detected_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without enough space for XGBoost's cache, the fit is an error before it starts."""
    usage = shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StorageError, match="TMPDIR"):
        fit(in_blocks(make_features(), [9]), "xgb", cv=0)


def test_unsupported_fits_are_refused() -> None:
    """Other classifiers, parameter searches and Ray are errors."""
    features: StreamedFeatures = in_blocks(make_features(), [7])
    with pytest.raises(UsageError, match=r"knn, rf cannot .* of logreg, lgbm, xgb, linsvm"):
        fit(features, "knn,logreg,rf")
    with pytest.raises(UsageError, match="--tune"):
        fit(features, "logreg", options=FitOptions(tune=True))
    with pytest.raises(UsageError, match="--engine ray"):
        fit(features, "logreg", resources=FitResources(engine="ray"))


def test_a_model_has_no_wrappers() -> None:
    """A fitted model contains no reference to the feature file."""
    model = fit(in_blocks(make_features(), [9]), "linsvm,xgb", options=FitOptions(bag=2), cv=0)
    assert StreamedClassifier not in types(model.estimator)


def types(value: Any) -> set[type]:
    """Collect all types in a value, recursively."""
    if isinstance(value, list | tuple | dict):
        items = value.values() if isinstance(value, dict) else value
        return {kind for item in items for kind in types(item)}
    return {type(value)} | (types(vars(value)) if hasattr(value, "__dict__") else set())
