"""Tests of fitting and scoring a model."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat.ensemble import soft_vote
from clipfeat.errors import LabelError, UsageError
from clipfeat.evaluate import KFold, benchmark
from clipfeat.evaluate.fitting import fit, fit_entry
from clipfeat.evaluate.votes import VOTE_TITLES
from clipfeat.features import FeatureSet, join
from clipfeat.model import load_model
from clipfeat.model.model_file import NO_KEYS
from clipfeat.prediction.predicting import predict
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


def test_several_names_vote(features: FeatureSet) -> None:
    """The probabilities of a vote are the mean of those of its members."""
    vote = fit(features, "logreg,knn", cv=0).predict_proba(features)
    members = [fit(features, name, cv=0).predict_proba(features) for name in ("logreg", "knn")]
    assert np.allclose(vote, soft_vote(members))


def test_encoders_vote_on_their_own_columns(features: FeatureSet) -> None:
    """With two encoders, each member gets the features of its own encoder."""
    other = make_features(name="other", seed=9)
    vote = fit(join([features, other]), "logreg", cv=0)
    members = [fit(one, "logreg", cv=0).predict_proba(one) for one in (features, other)]
    assert vote.members == ("logreg @ spectrum 32px", "logreg @ other 32px")
    assert np.allclose(vote.predict_proba(join([features, other])), soft_vote(members), atol=1e-6)


def test_scores_are_cross_validated() -> None:
    """With random labels, the scores are at chance level although the fit is perfect."""
    noise = make_features(60, apart=0.0, n_features=300)
    model = fit(noise, "logreg", cv=5)
    accuracy = [row["value"] for row in model.scores if row["metric"] == "accuracy"]
    assert len(accuracy) == 5
    assert 0.3 < np.mean(accuracy) < 0.7
    assert (model.predict_proba(noise).argmax(axis=1) == noise.y).all()


def test_too_few_images_raise_one_error() -> None:
    """The error names the folds or the classifier that needs more images."""
    with pytest.raises(LabelError, match="fewer than the 5 folds"):
        fit(make_features(3), "logreg")
    with pytest.raises(LabelError, match=r"cannot fit svm on 21 images.*has 1 images"):
        fit(make_features(20).take(np.arange(21)), "svm", cv=0)


def test_a_handful_of_images_is_enough_for_neighbours() -> None:
    """With fewer images than neighbours, knn uses all images."""
    few = make_features(3)
    p = fit(few, "knn", cv=0).predict_proba(few)
    assert np.allclose(p.sum(axis=1), 1)


def test_the_threshold_is_saved_and_used(tmp_path: Path) -> None:
    """The model file stores the threshold, which predictions and scores use."""
    data = make_features(60, apart=0.5)
    model = fit(data, "logreg,knn", cv=3, options=FitOptions(max_fpr=0.1))
    assert model.threshold is not None
    again = load_model(model.save(tmp_path / "model.clipfeat"))
    assert again.threshold == model.threshold
    assert sorted(again.training_keys.tolist()) == sorted(data.keys.tolist())
    assert predict(again, data).scores() == {}
    predictions = predict(replace(again, training_keys=NO_KEYS), data)
    above = predictions.probabilities[:, 1] > model.threshold
    assert predictions.predicted == np.where(above, "fake", "real").tolist()
    assert predictions.scores()["threshold"] == model.threshold
    assert (predictions.probabilities.argmax(axis=1) == 1).sum() > above.sum()
    assert model.about["threshold_by"] == "max_fpr 0.1"


def test_a_threshold_needs_two_classes_and_folds() -> None:
    """Without two classes and folds, a threshold is an error before any fit."""
    with pytest.raises(UsageError, match="needs two classes, got 3"):
        fit(
            make_features(classes=("a", "b", "c")),
            "logreg",
            options=FitOptions(threshold="accuracy"),
        )
    with pytest.raises(UsageError, match="out-of-fold"):
        fit(make_features(), "logreg", cv=0, options=FitOptions(threshold="accuracy"))


def test_members_of_zero_weight_are_dropped(tmp_path: Path) -> None:
    """The model contains no member of zero weight, and no encoder that only they use."""
    good, noise = make_features(40), make_features(40, name="other", seed=3, apart=0.0)
    model = fit(join([noise, good]), "logreg", cv=3, vote="greedy")
    assert model.members == ("logreg @ spectrum 32px",)
    assert model.specs == good.specs
    assert np.allclose(model.predict_proba(good), fit(good, "logreg", cv=0).predict_proba(good))
    assert load_model(model.save(tmp_path / "m.clipfeat")).about["weights"] == {
        "logreg @ other 32px": 0.0, "logreg @ spectrum 32px": 1.0,
    }  # fmt: skip


def test_given_weights_are_used() -> None:
    """Weights follow the order of the members. A member of zero weight is not fitted."""
    data = make_features()
    model = fit(data, "logreg,knn,rf", cv=0, vote_weights=[3, 1, 0])
    single = [fit(data, name, cv=0).predict_proba(data) for name in ("logreg", "knn")]
    assert model.members == ("logreg", "knn")
    assert np.allclose(model.predict_proba(data), soft_vote(single, [3, 1]))


@pytest.mark.parametrize("vote", ["greedy", "log_loss", "stacking"])
def test_a_learned_vote_is_saved_and_compared(vote: str, tmp_path: Path) -> None:
    """A vote learned out of fold is saved and compared with its members."""
    data = make_features(60, apart=1.0, groups=True)
    model = fit(data, "logreg,knn", cv=3, vote=vote)
    again = load_model(model.save(tmp_path / "m.clipfeat"))
    assert np.array_equal(again.predict_proba(data), model.predict_proba(data))
    assert again.about["gain"]["vote"] in {row["classifier"] for row in again.scores}
    with pytest.raises(UsageError, match="Use --cv 2 or more"):
        fit(data, "logreg,knn", cv=0, vote=vote)


def test_the_baseline_does_not_vote() -> None:
    """The dummy classifier is not a member of the vote."""
    model = fit(make_features(), "logreg,knn,dummy", cv=3)
    assert model.members == ("logreg", "knn")
    assert "soft vote" in {row["classifier"] for row in model.scores}


@pytest.mark.parametrize("vote", ["uniform", "greedy"])
def test_the_model_of_an_entry_equals_a_fit(features: FeatureSet, vote: str) -> None:
    """The model of a benchmark's entry equals that of `fit`, which cross-validates again."""
    options = FitOptions(threshold="accuracy")
    data = join([features, make_features(name="other", seed=9, apart=0.5)])
    run = benchmark(data, "logreg,knn", protocol=KFold(3), options=options, vote=vote)
    refitted = fit(data, "logreg,knn", cv=3, options=options, vote=vote)
    of_vote = fit_entry(run, data, VOTE_TITLES[vote], options=options)
    assert of_vote.members == refitted.members
    assert of_vote.threshold == refitted.threshold
    assert np.array_equal(of_vote.predict_proba(data), refitted.predict_proba(data))
    alone = fit_entry(run, data, "knn @ spectrum 32px", options=options)
    of_fit = fit(features, "knn", cv=3, options=options)
    assert alone.specs == features.specs
    assert alone.threshold == of_fit.threshold
    assert np.array_equal(alone.predict_proba(features), of_fit.predict_proba(features))
    assert {row["classifier"] for row in alone.scores} == {"knn @ spectrum 32px"}


def test_an_entry_needs_the_rows_of_its_run(features: FeatureSet) -> None:
    """Other features, another protocol and unknown entries are refused."""
    run = benchmark(features, "logreg", protocol=KFold(3))
    with pytest.raises(UsageError, match="not a cross-validation of the 10 labelled images"):
        fit_entry(run, features.take(np.arange(15, 25)), "logreg")
    with pytest.raises(UsageError, match="unknown entry 'svm'"):
        fit_entry(run, features, "svm")


def test_phases_are_reported(phases_of: Callable[[Callable[..., Any]], list[str]]) -> None:
    """The folds are reported before the fit on all images."""
    data = make_features(20)
    assert phases_of(partial(fit, data, "logreg,knn", cv=2)) == [
        "fitting", "scoring", "fitting the model"
    ]  # fmt: skip
    assert phases_of(partial(fit, data, "logreg", cv=0)) == ["fitting the model"]


def test_training_images_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training images are found by key. The keys are sorted only once, for servers."""
    data = make_features(20)
    model = replace(fit(data, "logreg", cv=0), training_keys=data.keys[5:15][::-1])
    unknown = np.array([b"0" * 32, b"f" * 32], dtype=data.keys.dtype)
    expected = [number in range(5, 15) for number in range(len(data))]
    assert model.is_training(data.keys).tolist() == expected
    predictions = predict(model, data)
    assert predictions.training == set(data.paths[5:15].tolist())
    monkeypatch.setattr(np, "unique", None)
    assert model.is_training(unknown).tolist() == [False, False]
