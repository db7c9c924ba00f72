"""Tests of explanations: nearest training images and the members' probabilities."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import DataError, FingerprintError
from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet
from clipfeat.prediction.explaining import explain, explanation_page
from clipfeat.prediction.predicting import predict
from clipfeat.store import load


@pytest.fixture
def known(image_folder: Path, tmp_path: Path) -> FeatureSet:
    embed(image_folder, tmp_path / "out.h5", encoder="spectrum")
    return load(tmp_path / "out.h5")


def test_a_training_image_is_nearest_to_itself(known: FeatureSet, image_folder: Path) -> None:
    """The distance is zero. The mean over the members is the model's probability."""
    model = fit(known, "logreg,knn", cv=0)
    explained = explain(model, image_folder, known, n_neighbours=3)
    assert [one.path for one in explained] == known.paths.tolist()
    for one, label in zip(explained, known.labels.tolist(), strict=True):
        assert one.neighbours[0].path == one.path
        assert one.neighbours[0].label == label
        assert one.neighbours[0].distance == pytest.approx(0, abs=1e-5)
        distances = [near.distance for near in one.neighbours]
        assert distances == sorted(distances)
        assert list(one.members) == ["logreg", "knn"]
        mean = np.mean([p["fake"] for p in one.members.values()])
        assert one.probabilities["fake"] == pytest.approx(mean)
    vote = predict(model, image_folder).probabilities[:, 1]
    assert np.allclose([one.probabilities["fake"] for one in explained], vote)


def test_the_page_is_self_contained(known: FeatureSet, image_folder: Path) -> None:
    """The page contains its thumbnails, loads no URL or script, and escapes names."""
    (image_folder / "fake" / "a<b>.png").write_bytes(
        (image_folder / "fake" / "fake-00.png").read_bytes()
    )
    explained = explain(fit(known, "logreg", cv=0), image_folder / "fake", known, n_neighbours=2)
    page = explanation_page(explained, image_folder)
    assert page.count("data:image/png") == 13 * 3
    assert "a&lt;b&gt;.png" in page
    assert "http" not in page
    assert "<script" not in page
    elsewhere = [replace(one, root="nowhere") for one in explained]
    assert explanation_page(elsewhere, "nowhere").count("no image") == 13 * 3


def test_errors_of_explain(known: FeatureSet, image_folder: Path, tmp_path: Path) -> None:
    """Unreadable images and features of another encoder are errors."""
    model = fit(known, "logreg", cv=0)
    (tmp_path / "bad.png").write_text("text")
    with pytest.raises(DataError, match=r"bad\.png: DecodeError"):
        explain(model, tmp_path / "bad.png", known)
    embed(
        image_folder, tmp_path / "64.h5", encoder="spectrum", options=EncoderOptions(image_size=32)
    )
    with pytest.raises(FingerprintError, match="input_size"):
        explain(model, image_folder, load(tmp_path / "64.h5"))


def test_phases_are_reported(
    known: FeatureSet, image_folder: Path, phases_of: Callable[[Callable[..., Any]], list[str]]
) -> None:
    """The search for neighbours begins after all images are encoded."""
    model = fit(known, "logreg", cv=0)
    assert phases_of(partial(explain, model, image_folder, known)) == [
        "listing", "opening", "encoding", "explaining"
    ]  # fmt: skip
