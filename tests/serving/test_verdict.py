"""Tests of verdicts, and of how degradations change them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfeat.embedding.in_memory import encode_in_memory
from clipfeat.embedding.views import View
from clipfeat.errors import DecodeError
from clipfeat.features import FeatureSet
from clipfeat.images import open_source
from clipfeat.model import Model
from clipfeat.model.abstention import Abstention
from clipfeat.prediction.predicting import predict
from clipfeat.serving.verdict import CHANGED_VIEWS, CHANGES, changes_of, verdict_on


def encode(model: Model, image: Path, views: Mapping[str, View] | None = None) -> FeatureSet:
    """Encode an image, or all its views."""
    source = open_source([str(image)])
    return encode_in_memory(source, model.specs, views=views, every_view=bool(views))


def test_the_verdict_is_that_of_predict(
    model_of_two: Model, image_files: Path, tmp_path: Path
) -> None:
    """Probabilities equal those of `predict`, and the vote is the mean of its members."""
    image = image_files / "fake" / "fake-3.png"
    verdict = verdict_on(model_of_two, encode(model_of_two, image))
    expected = predict(model_of_two, image)
    assert list(verdict.probabilities.values()) == expected.probabilities[0].tolist()
    assert verdict.predicted == expected.predicted[0] == "fake"
    assert verdict.probability == verdict.probabilities["fake"]
    assert len(verdict.members) == 4
    mean = np.mean([p["fake"] for p in verdict.members.values()])
    assert verdict.probabilities["fake"] == pytest.approx(mean)
    assert verdict.n_agreeing == 4
    assert verdict.is_training_image
    Image.open(image).rotate(90).save(tmp_path / "new.png")
    assert not verdict_on(
        model_of_two, encode(model_of_two, tmp_path / "new.png")
    ).is_training_image
    # The threshold decides, not the highest probability, also for the members.
    strict = verdict_on(replace(model_of_two, threshold=1.0), encode(model_of_two, image))
    assert (strict.predicted, strict.n_agreeing) == ("real", 4)


def test_the_changes_are_those_of_degraded_files(
    model_of_two: Model, image_files: Path, tmp_path: Path
) -> None:
    """The probability equals that of a saved degraded copy."""
    image = image_files / "real" / "real-3.png"
    features = encode(model_of_two, image, CHANGED_VIEWS)
    changes = {change.title: change for change in changes_of(model_of_two, features)}
    assert list(changes) == list(CHANGES.values())
    before = predict(model_of_two, image)
    assert before.predicted == ["real"]
    view = CHANGED_VIEWS["blur"]
    key = bytes.fromhex(encode(model_of_two, image).keys[0].decode())
    Image.fromarray(view.apply(np.asarray(Image.open(image)), view.key(key))).save(
        tmp_path / "blurred.png"
    )
    after = predict(model_of_two, tmp_path / "blurred.png")
    blurred = changes[CHANGES["blur"]]
    assert blurred.probability == pytest.approx(after.probabilities[0, 0], abs=1e-9)
    assert blurred.difference == pytest.approx(
        after.probabilities[0, 0] - before.probabilities[0, 0], abs=1e-9
    )
    assert (blurred.predicted, blurred.flips) == ("fake", True)


def test_a_model_that_abstains_is_unsure(model_of_two: Model, image_files: Path) -> None:
    """The verdict is unsure unless only the predicted class is plausible."""
    features = encode(model_of_two, image_files / "fake" / "fake-3.png")
    assert verdict_on(replace(model_of_two, abstention=None), features).plausible is None
    for smallest_of_real, plausible in ((0.5, ("fake",)), (0.0, ("real", "fake"))):
        calibration = np.array([smallest_of_real, 0.9, 0.5, 0.9])
        model = replace(model_of_two, abstention=Abstention(0.5, calibration, (2, 2), (2, 2)))
        verdict = verdict_on(model, features)
        assert (verdict.predicted, verdict.plausible) == ("fake", plausible)
        assert verdict.is_unsure == (len(plausible) != 1)


def test_an_unreadable_image_has_no_verdict(model_of_two: Model, tmp_path: Path) -> None:
    """The error states the reason."""
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    with pytest.raises(DecodeError, match="cannot be decoded"):
        verdict_on(model_of_two, encode(model_of_two, tmp_path / "bad.png"))
    with pytest.raises(DecodeError, match="cannot be decoded"):
        changes_of(model_of_two, encode(model_of_two, tmp_path / "bad.png", CHANGED_VIEWS))
