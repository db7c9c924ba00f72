"""Tests of model files: round trips, refused files, and predictions of loaded models."""

import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
import safetensors.numpy

from clipfeat.errors import (
    DataError,
    FingerprintError,
    OutputExistsError,
    RefusedFileError,
    UnknownNameError,
    UsageError,
)
from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet, join
from clipfeat.model import Model, load_model
from clipfeat.model.container import read_container, write_container
from clipfeat.zoo import classifiers
from tests.conftest import make_features, make_spec


@pytest.mark.parametrize("clf", [*classifiers(), "logreg,knn,rf,lgbm,xgb,svm"])
@pytest.mark.parametrize("encoders", [1, 2])
def test_round_trip_is_equal_to_the_bit(clf: str, encoders: int, tmp_path: Path) -> None:
    """Each loaded classifier or vote gives bit-identical probabilities."""
    sets = [make_features(groups=True), make_features(name="other", seed=4, groups=True)]
    data = join(sets[:encoders])
    model = fit(data, clf, cv=0)
    loaded = load_model(model.save(tmp_path / "model.clipfeat"))
    assert np.array_equal(loaded.predict_proba(data), model.predict_proba(data))
    assert (loaded.classes, loaded.specs, loaded.members) == (
        model.classes, model.specs, model.members,
    )  # fmt: skip


def test_arrays_are_predicted_by_models_of_arrays(features: FeatureSet, tmp_path: Path) -> None:
    """A model fitted on arrays accepts arrays of its width. A model with an encoder does not."""
    X = np.asarray(features.X)
    data = FeatureSet.from_arrays(X, features.labels.tolist())
    model = load_model(fit(data, "logreg", cv=0).save(tmp_path / "model.clipfeat"))
    expected = model.predict_proba(data)
    assert np.array_equal(model.predict_proba(X), expected)
    assert np.array_equal(model.predict_proba(X.tolist()), expected)
    assert model.predict_proba(X[:0]).shape == (0, 2)
    assert np.array_equal(model.predict_proba_of_members(X)["logreg"], expected)
    with pytest.raises(DataError, match=r"fitted on 6 features, but X has the shape \(40, 5\)"):
        model.predict_proba(X[:, :5])
    with pytest.raises(DataError, match="cannot be converted to numbers"):
        model.predict_proba(["a.jpg"])
    with pytest.raises(DataError, match="must be finite"):
        model.predict_proba(X * np.nan)
    with pytest.raises(
        UsageError, match="needs features of its encoder spectrum 32px, got ndarray"
    ):
        fit(features, "logreg", cv=0).predict_proba(X)


@pytest.fixture
def saved(features: FeatureSet, tmp_path: Path) -> Path:
    return fit(features, "logreg", cv=3).save(tmp_path / "model.clipfeat")


def test_scores_are_stored(saved: Path) -> None:
    """The file stores the cross-validated scores and the number of images."""
    model = load_model(saved)
    assert {row["metric"] for row in model.scores} >= {"accuracy", "log_loss"}
    assert model.about["images"] == 40


@pytest.mark.parametrize("dump", [pickle.dump, joblib.dump])
def test_pickles_are_never_read(dump: object, tmp_path: Path) -> None:
    """A pickle or joblib file is refused, and its code does not run."""
    ran = tmp_path / "ran"
    path = tmp_path / "model.clipfeat"
    with path.open("wb") as out:
        dump(Trap(str(ran)), out)  # type: ignore[operator]
    with pytest.raises(RefusedFileError, match="never loaded"):
        load_model(path)
    assert not ran.exists()


class Trap:
    """Object that creates a file when unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (Path(self.path),)


def test_version_1_is_refused(tmp_path: Path) -> None:
    """The error for a version 1 file, which could run code, says how to replace it."""
    path = tmp_path / "model.clipfeat"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.json", "{}")
        archive.writestr("estimator.skops", b"")
    with pytest.raises(RefusedFileError, match=r"version 1.*Fit the model again"):
        load_model(path)


def test_a_later_version_is_refused(saved: Path) -> None:
    """The error asks for the version of clipfeat that wrote the file."""
    description, arrays = read_container(saved)
    saved.unlink()
    write_container(saved, {**description, "version": 3}, arrays)
    with pytest.raises(RefusedFileError, match=r"version 3.*Install the version of clipfeat"):
        load_model(saved)


def test_other_tools_read_the_arrays(saved: Path) -> None:
    """The zip and safetensors libraries can read the file and its uncompressed members."""
    with zipfile.ZipFile(saved) as archive:
        assert archive.namelist() == ["model.json", "arrays.safetensors"]
        arrays = safetensors.numpy.load(archive.read("arrays.safetensors"))
        described = json.loads(archive.read("model.json"))
    assert described["estimator"]["kind"] == "Pipeline"
    assert arrays["estimator/steps/1/coef"].shape == (1, 6)


def test_undefined_scores_are_kept(saved: Path) -> None:
    """NaN scores are stored as null, because JSON has no NaN."""
    model = load_model(saved)
    row = {**model.scores[0], "value": float("nan")}
    replace(model, scores=[row]).save(saved, overwrite=True)
    assert np.isnan(load_model(saved).scores[0]["value"])


def test_features_of_another_encoder_are_refused(saved: Path) -> None:
    """The error names each differing field, or the wrong number of encoders."""
    model = load_model(saved)
    with pytest.raises(FingerprintError, match="name: 'spectrum', not 'other'"):
        model.predict_proba(make_features(name="other"))
    both = join([make_features(), make_features(name="other")])
    with pytest.raises(FingerprintError, match="one feature file of each"):
        model.predict_proba(both)


def test_overwriting_must_be_requested(saved: Path, features: FeatureSet) -> None:
    """An existing file is replaced only if `overwrite` is set."""
    model = fit(features, "dummy", cv=0)
    with pytest.raises(OutputExistsError):
        model.save(saved)
    assert load_model(saved).members == ("logreg",)
    model.save(saved, overwrite=True)
    assert load_model(saved).members == ("dummy",)


def test_a_class_absent_from_training_is_a_zero_column() -> None:
    """Columns follow the model's classes, even those that were not fitted."""

    class Half:
        classes_ = np.array([1])

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return np.ones((len(X), 1))

    features = make_features(2)
    model = Model(Half(), ("a", "b"), features.specs)
    assert model.predict_proba(features).tolist() == [[0.0, 1.0]] * 4


def test_encoders_may_come_in_any_order() -> None:
    """The model finds its columns in feature files of any order."""
    a, b = make_features(), make_features(name="other", seed=4)
    model = fit(join([a, b]), "logreg", cv=0)
    expected = model.predict_proba(join([a, b]))
    assert np.array_equal(model.predict_proba(join([b, a])), expected)


def test_a_model_of_some_layers_takes_all_layers() -> None:
    """A model of some layers accepts features with further layers, but none with fewer."""
    spec = make_spec(layer="0/mean,1/mean,last", widths=(2, 3, 1))
    every = replace(make_features(), specs=(spec,))
    some = every.narrowed("1,last")
    model = fit(some, "logreg", cv=0)
    assert np.array_equal(some.X, every.X[:, 2:])
    assert np.array_equal(model.predict_proba(every), model.predict_proba(some))
    with pytest.raises(FingerprintError, match="layer: '1/mean,last', not '0/mean,last'"):
        model.predict_proba(every.narrowed("0,last"))
    with pytest.raises(UnknownNameError, match="layer '7'"):
        every.narrowed("7")


def test_copies_of_an_image_have_one_answer() -> None:
    """Identical images get identical rows. Equal keys with different features do not."""

    class ByPosition:
        """Estimator whose probabilities depend on the position in the batch, as with BLAS."""

        classes_ = np.arange(2)

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            p = np.arange(1, len(X) + 1) / 100
            return np.column_stack([1 - p, p])

    features = make_features(6)
    features = features.take(np.array([0, 1, 0, 2, 1, 3]))
    features.keys[5] = features.keys[3]
    model = Model(ByPosition(), ("real", "fake"), features.specs)
    expected = [0.01, 0.02, 0.01, 0.03, 0.02, 0.04]
    assert model.predict_proba(features)[:, 1].tolist() == expected
    assert model.predict_proba_of_members(features)["model"][:, 1].tolist() == expected
