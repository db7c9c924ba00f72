"""Test of the training images that are nearest to an image."""

import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfeat.images import thumbnails
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.model import Model
from clipfeat.prediction.nearest import NearestImages
from clipfeat.serving.training_images import TrainingImages
from clipfeat.store import load


def test_an_archive_is_listed_once(
    model: Model,
    feature_files: list[Path],
    image_files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An archive is listed only once. Images outside archives need no list."""
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(image_files / "real", "real")
    plain = tmp_path / "plain.png"
    plain.write_bytes((image_files / "fake" / "fake-0.png").read_bytes())
    features = load(feature_files[0])
    paths = [f"all.tar/{path}" for path in features.paths.tolist()]
    features = replace(features, paths=np.array(["plain.png", *paths[1:]]))
    training = TrainingImages(NearestImages(features, model.specs), str(tmp_path))
    archives, open_source = [], thumbnails.open_source

    def count(source: Path) -> object:
        archives.append(source)
        return open_source(source)

    monkeypatch.setattr(thumbnails, "open_source", count)
    with IsolatedDecoder() as decoder:
        for number in range(2):
            path = f"all.tar/real/real-{number}.png"
            pictures = training.pictures(["plain.png", path, "../plain.png"], decoder)
            assert list(pictures) == ["plain.png", path]
    assert archives == [tmp_path / "all.tar"]
