"""Tests of adapting models to new domains."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import clipfeat
from clipfeat.errors import DataError, LabelError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.evaluate.metrics import score
from clipfeat.features import FeatureSet
from clipfeat.model import Model, load_model
from clipfeat.model.adaptation import shifted
from clipfeat.prediction.logit_shifts import PRIOR_SD, estimate_shares, fit_shifts
from clipfeat.report import model_remarks
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


@pytest.fixture(scope="module")
def model() -> Model:
    return fit(make_features(100), "logreg", cv=2, options=FitOptions(threshold="accuracy"))


def new_domain(n_per_class: int, moved: float = 0.0, *, seed: int = 1) -> FeatureSet:
    """Return images that are not training images, with all features shifted by a number."""
    features = make_features(n_per_class, seed=seed)
    keys = np.array([f"{i + 10_000:032x}".encode() for i in range(len(features))])
    return replace(features, X=features.X - np.float32(moved), keys=keys)


def test_labels_correct_a_moved_domain(model: Model, tmp_path: Path) -> None:
    """Held-out images are classified better, and the file keeps the original model."""
    adapted = clipfeat.adapt(model, new_domain(20, 0.8), progress=False)
    assert adapted.adaptation is not None
    assert adapted.adaptation.n_images == 40
    assert adapted.threshold == model.threshold
    test = new_domain(200, 0.8, seed=2)
    before, after = (score(test.y, one.predict_proba(test)) for one in (model, adapted))
    assert after["accuracy"] > before["accuracy"] + 0.15
    assert after["log_loss"] < before["log_loss"] - 0.3
    read = load_model(adapted.save(tmp_path / "model.clipfeat"))
    assert read.adaptation == adapted.adaptation
    assert np.array_equal(read.predict_proba(test), adapted.predict_proba(test))
    assert np.array_equal(read.original().predict_proba(test), model.predict_proba(test))
    predicted = clipfeat.predict(read, test, progress=False)
    assert np.allclose(predicted.probabilities, adapted.predict_proba(test), rtol=0, atol=1e-12)


def test_a_shift_is_a_logistic_regression_of_intercepts(model: Model) -> None:
    """With constant logits, the shift equals that of scikit-learn's logistic regression."""
    y = np.array([0] * 30 + [1] * 10)
    p = np.full((40, 2), 0.5)
    # The prior of the shifts' difference has twice their variance.
    reference = LogisticRegression(C=2 * PRIOR_SD**2, fit_intercept=False, tol=1e-9)
    coef = reference.fit(np.ones((40, 1)), y).coef_[0, 0]
    low, high = fit_shifts(y, p)
    assert high - low == pytest.approx(coef, abs=1e-5)
    assert low + high == pytest.approx(0, abs=1e-12)


def test_scores_after_leave_each_image_out(model: Model) -> None:
    """Scores after the adaptation use shifts fitted without the scored image."""
    features = new_domain(6, 0.8)
    adapted = clipfeat.adapt(model, features, progress=False)
    p, y = model.predict_proba(features), features.y
    held_out = np.vstack(
        [
            shifted(p[[i]], fit_shifts(np.delete(y, i), np.delete(p, i, axis=0)))
            for i in range(len(y))
        ]
    )
    expected = score(y, held_out, model.threshold)
    assert adapted.adaptation is not None
    for name, value in adapted.adaptation.after.items():
        assert value == pytest.approx(expected[name], abs=1e-9)
    fitted = score(y, adapted.predict_proba(features), model.threshold)
    assert adapted.adaptation.after["log_loss"] > fitted["log_loss"]


def test_unlabelled_images_correct_class_frequencies(model: Model) -> None:
    """The class frequencies are estimated, and the log loss decreases."""
    rows = np.r_[0:1000, 1000:1100]
    features = new_domain(1000).take(rows)
    adapted = clipfeat.adapt(model, features, unlabelled=True, progress=False)
    shares = estimate_shares(model.predict_proba(features), np.array([0.5, 0.5]))
    assert shares[1] == pytest.approx(100 / 1100, abs=0.03)
    before, after = (score(features.y, one.predict_proba(features)) for one in (model, adapted))
    assert after["log_loss"] < before["log_loss"] - 0.1
    unnamed = replace(features, y=np.zeros_like(features.y), classes=("new",))
    again = clipfeat.adapt(adapted, unnamed, progress=False)
    assert again.adaptation == adapted.adaptation


def test_several_classes() -> None:
    """With three classes, each class has its own shift."""
    classes = ("a", "b", "c")
    model = fit(make_features(60, classes, apart=3), "logreg", cv=0)
    new = make_features(20, classes, apart=3, seed=1)
    keys = np.array([f"{i + 10_000:032x}".encode() for i in range(len(new))])
    new = replace(new, X=new.X - np.float32(0.9), keys=keys)
    adapted = clipfeat.adapt(model, new, progress=False)
    assert adapted.adaptation is not None
    assert len(set(adapted.adaptation.shifts)) == 3
    before, after = adapted.adaptation.before, adapted.adaptation.after
    assert after["accuracy"] > before["accuracy"] + 0.1


def test_too_few_images(model: Model) -> None:
    """Ten labelled images, with two of each class, are required. Training images do not count."""
    with pytest.raises(LabelError, match=r"needs 10 labelled images, .* are 8 \(4 real, 4 fake\)"):
        clipfeat.adapt(model, new_domain(4), progress=False)
    one_class = new_domain(20).take(np.arange(20, 40))
    with pytest.raises(LabelError, match=r"2 or more of each class.* 20 \(0 real, 20 fake\)"):
        clipfeat.adapt(model, one_class, progress=False)
    with pytest.raises(LabelError, match=r"there are 0 .* 200 training images"):
        clipfeat.adapt(model, make_features(100), progress=False)
    with pytest.raises(DataError, match=r"needs 10 readable images .* there are 8"):
        clipfeat.adapt(model, new_domain(4), unlabelled=True, progress=False)
    with pytest.raises(DataError, match="does not store the class shares"):
        clipfeat.adapt(replace(model, prior=None), new_domain(9), unlabelled=True, progress=False)


def test_a_probability_of_zero_has_no_influence() -> None:
    """Images with a zero probability, which no shift changes, do not affect the shifts."""
    y, p = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7]])
    certain = np.tile([1.0, 0.0], (5, 1))
    with_certain = fit_shifts(np.r_[y, [1] * 5], np.vstack([p, certain]))
    assert np.allclose(with_certain, fit_shifts(y, p), atol=1e-6)


@pytest.mark.parametrize(("balance", "share"), [("none", 0.8), ("weights", 0.5)])
def test_the_shares_of_the_training_set_are_stored(balance: str, share: float) -> None:
    """With balancing, classes count as equally frequent in training."""
    features = make_features(40).take(np.r_[0:40, 40:50])
    assert fit(features, "logreg", cv=0, options=FitOptions(balance=balance)).prior == (
        pytest.approx((share, 1 - share))
    )


def test_an_adapted_model_does_not_abstain() -> None:
    """An adapted model does not abstain. The original model keeps its calibration."""
    data = make_features(40)
    model = fit(data, "logreg", cv=2, options=FitOptions(abstain=0.05))
    adapted = clipfeat.adapt(model, new_domain(20, 0.8), progress=False)
    assert clipfeat.predict(adapted, new_domain(5), progress=False).abstention is None
    assert any("no longer marks unsure images" in line for line in model_remarks(adapted))
    with pytest.raises(UsageError, match="adapt MODEL --undo"):
        adapted.abstaining(0.1)
    original = clipfeat.predict(adapted.original(), new_domain(5), progress=False)
    assert original.abstention is model.abstention
