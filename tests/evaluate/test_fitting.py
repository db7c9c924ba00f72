"""Features to a fitted model."""

from pathlib import Path

import numpy as np
import pytest

from clipfeat.ensemble import soft_vote
from clipfeat.errors import LabelError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet, join
from clipfeat.model import load_model
from clipfeat.prediction.predicting import predict
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


def test_several_names_vote(features: FeatureSet) -> None:
    """A vote's probabilities are the mean of its members' own."""
    vote = fit(features, "logreg,knn", cv=0).predict_proba(features)
    members = [fit(features, name, cv=0).predict_proba(features) for name in ("logreg", "knn")]
    assert np.allclose(vote, soft_vote(members))


def test_encoders_vote_on_their_own_columns(features: FeatureSet) -> None:
    """Of two encoders each member sees only its own features."""
    other = make_features(name="other", seed=9)
    vote = fit(join([features, other]), "logreg", cv=0)
    members = [fit(one, "logreg", cv=0).predict_proba(one) for one in (features, other)]
    assert vote.members == ("logreg @ spectrum 32px", "logreg @ other 32px")
    assert np.allclose(vote.predict_proba(join([features, other])), soft_vote(members), atol=1e-6)


def test_scores_are_cross_validated() -> None:
    """On labels of pure noise the scores are chance, though the fit itself is perfect."""
    noise = make_features(60, apart=0.0, n_features=300)
    model = fit(noise, "logreg", cv=5)
    accuracy = [row["value"] for row in model.scores if row["metric"] == "accuracy"]
    assert len(accuracy) == 5
    assert 0.3 < np.mean(accuracy) < 0.7
    assert (model.predict_proba(noise).argmax(axis=1) == noise.y).all()


def test_what_cannot_be_fitted_is_one_error() -> None:
    """Too few images for the folds, or for the classifier."""
    with pytest.raises(LabelError, match="fewer than the 5 folds"):
        fit(make_features(3), "logreg")
    with pytest.raises(LabelError, match=r"cannot fit svm on 21 images.*has 1 images"):
        fit(make_features(20).take(np.arange(21)), "svm", cv=0)


def test_a_handful_of_images_is_enough_for_neighbours() -> None:
    """Fewer images than neighbours are all neighbours."""
    few = make_features(3)
    p = fit(few, "knn", cv=0).predict_proba(few)
    assert np.allclose(p.sum(axis=1), 1)


def test_the_threshold_is_kept_and_used(tmp_path: Path) -> None:
    """It is in the model file, and predictions and their scores follow it."""
    data = make_features(60, apart=0.5)
    model = fit(data, "logreg,knn", cv=3, options=FitOptions(max_fpr=0.05))
    assert model.threshold is not None
    again = load_model(model.save(tmp_path / "model.clipfeat"))
    assert again.threshold == model.threshold
    found = predict(again, data)
    above = found.probabilities[:, 1] > model.threshold
    assert found.predicted == np.where(above, "fake", "real").tolist()
    assert found.scores()["threshold"] == model.threshold
    assert (found.probabilities.argmax(axis=1) == 1).sum() > above.sum()
    assert model.about["threshold_by"] == "max_fpr 0.05"


def test_a_threshold_needs_two_classes_and_folds() -> None:
    """Else one clear error, before anything is fitted."""
    with pytest.raises(UsageError, match="parts two classes, and there are 3"):
        fit(
            make_features(classes=("a", "b", "c")),
            "logreg",
            options=FitOptions(threshold="accuracy"),
        )
    with pytest.raises(UsageError, match="out-of-fold"):
        fit(make_features(), "logreg", cv=0, options=FitOptions(threshold="accuracy"))


def test_members_of_no_weight_are_no_part_of_the_model(tmp_path: Path) -> None:
    """Neither they nor the encoder that only they needed: its features are not asked for."""
    good, noise = make_features(40), make_features(40, name="other", seed=3, apart=0.0)
    model = fit(join([noise, good]), "logreg", cv=3, vote="greedy")
    assert model.members == ("logreg @ spectrum 32px",)
    assert model.specs == good.specs
    assert np.allclose(model.predict_proba(good), fit(good, "logreg", cv=0).predict_proba(good))
    assert load_model(model.save(tmp_path / "m.clipfeat")).about["weights"] == {
        "logreg @ other 32px": 0.0, "logreg @ spectrum 32px": 1.0,
    }  # fmt: skip


def test_given_weights_weigh() -> None:
    """In the members' order; a member of none is not fitted."""
    data = make_features()
    model = fit(data, "logreg,knn,rf", cv=0, vote_weights=[3, 1, 0])
    single = [fit(data, name, cv=0).predict_proba(data) for name in ("logreg", "knn")]
    assert model.members == ("logreg", "knn")
    assert np.allclose(model.predict_proba(data), soft_vote(single, [3, 1]))


@pytest.mark.parametrize("vote", ["greedy", "log_loss", "stacking"])
def test_a_learned_vote_is_what_was_scored(vote: str, tmp_path: Path) -> None:
    """Learned from the cross-validation's probabilities, kept, and compared with its members."""
    data = make_features(60, apart=1.0, groups=True)
    model = fit(data, "logreg,knn", cv=3, vote=vote)
    again = load_model(model.save(tmp_path / "m.clipfeat"))
    assert np.array_equal(again.predict_proba(data), model.predict_proba(data))
    assert again.about["gain"]["vote"] in {row["classifier"] for row in again.scores}
    with pytest.raises(UsageError, match="use 2 folds or more"):
        fit(data, "logreg,knn", cv=0, vote=vote)


def test_chance_has_no_say() -> None:
    """What is scored is what is fitted: dummy takes no part in a vote."""
    model = fit(make_features(), "logreg,knn,dummy", cv=3)
    assert model.members == ("logreg", "knn")
    assert "soft vote" in {row["classifier"] for row in model.scores}
