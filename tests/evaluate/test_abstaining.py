"""Tests of the calibration of prediction sets."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.errors import ClipfeatWarning, DataError, UsageError
from clipfeat.evaluate import benchmark
from clipfeat.evaluate.fitting import fit, fit_entry
from clipfeat.evaluate.threshold_rows import threshold_rows
from clipfeat.model import Model
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features

ABSTAINING = FitOptions(abstain=0.05)


def missed(model: Model, seed: int) -> np.ndarray:
    """Return the share of new images of each class whose prediction set lacks their class."""
    assert model.abstention is not None
    fresh = make_features(1000, apart=1.5, seed=seed)
    sets = model.abstention.sets(model.predict_proba(fresh))
    return np.array([1 - sets[fresh.y == code, code].mean() for code in (0, 1)])


def test_the_level_holds_for_fresh_images() -> None:
    """On average over 20 models, the missed share is at most the level, up to 3 standard errors.

    One model has a standard deviation of about 0.024: 0.023 by its 79 calibration images of each
    class, and 0.007 by its 1000 fresh images.
    """
    shares = np.array(
        [
            missed(
                fit(make_features(79, apart=1.5, seed=seed), "lda", cv=3, options=ABSTAINING),
                10**6 + seed,
            )
            for seed in range(20)
        ]
    )
    limit = 0.05 + 3 * 0.024 / np.sqrt(20)
    assert (shares.mean(axis=0) < limit).all()
    # Sets that were calibrated on the training images themselves would miss more.
    assert shares.mean() > 0.02


def test_out_of_fold_probabilities_calibrate() -> None:
    """The calibration values are the sorted out-of-fold probabilities of the true classes."""
    data = make_features(60)
    model = fit(data, "logreg,lda", cv=3, options=ABSTAINING)
    run = benchmark(data, "logreg,lda", protocol=3)
    p = (run.probabilities["logreg"] + run.probabilities["lda"]) / 2
    expected = [np.sort(p[run.y == code, code]) for code in (0, 1)]
    assert model.abstention is not None
    assert np.allclose(model.abstention.probabilities, np.concatenate(expected), atol=1e-12)
    again = fit_entry(run, data, "logreg", options=ABSTAINING)
    assert again.abstention is not None
    assert again.abstention.n_images == (60, 60)


def test_some_classifiers_are_calibrated_on_rows_that_no_fit_saw() -> None:
    """The left-out images are recorded, and also give the threshold."""
    data = make_features(240)
    options = replace(ABSTAINING, tune=True, max_fpr=0.05)
    model = fit(data, "ridge", cv=2, options=options)
    left_out = threshold_rows(data, np.arange(480), options, 0)
    assert model.about["threshold_images"] == len(left_out)
    p = np.sort(model.predict_proba(data.take(left_out))[data.y[left_out] == 0, 0])
    assert model.abstention is not None
    assert np.allclose(model.abstention.probabilities[: len(p)], p)
    assert model.abstention.n_images == tuple(np.bincount(data.y[left_out]))


def test_augmented_views_do_not_calibrate() -> None:
    """Only original images calibrate, because new images have no augmented views."""
    plain = make_features(40)
    files = plain.paths
    views = np.array(["original"] * 80 + ["jpeg50"] * 80)
    both = replace(
        plain.take(np.tile(np.arange(80), 2)),
        columns={"view": views, "file": np.tile(files, 2)},
    )
    both = replace(
        both,
        X=both.X + (views == "jpeg50")[:, None].astype(np.float32),
        keys=np.array([f"{i:032x}".encode() for i in range(160)]),
        paths=np.array([f"{file}#{view}" for file, view in zip(both.files, views, strict=True)]),
    )
    model = fit(both, "lda", cv=2, options=ABSTAINING)
    run = benchmark(both, "lda", protocol=2)
    original = run.columns["view"] == "original"
    p = run.probabilities["lda"][original & (run.y == 0), 0]
    assert model.abstention is not None
    assert np.allclose(model.abstention.probabilities[:40], np.sort(p))


def test_refusals() -> None:
    """Options that cannot be satisfied are refused before any fit."""
    with pytest.raises(DataError, match=r"need 19 images of each class, but class 'fake' has 12"):
        fit(make_features(12), "logreg", options=ABSTAINING)
    with pytest.raises(DataError, match=r"need 38 .* half of them to calibrate mlp, .* has 30"):
        fit(make_features(30), "mlp", options=ABSTAINING)
    with pytest.raises(UsageError, match="abstention needs cross-validation"):
        fit(make_features(30), "logreg", cv=0, options=ABSTAINING)
    with pytest.raises(UsageError, match="no effect in a benchmark"):
        benchmark(make_features(30), "logreg", options=ABSTAINING)
    with pytest.raises(UsageError, match="abstain must be above 0"):
        FitOptions(abstain=1.0)
    with pytest.warns(ClipfeatWarning, match="needs 19 independent groups .* has 10"):
        fit(make_features(40, groups=True), "lda", cv=2, options=ABSTAINING)
