"""Small models of spectra, and images to send."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.evaluate.fitting import fit
from clipfeat.model import Model
from clipfeat.model.abstention import Abstention
from clipfeat.store import load
from tests.conftest import texture

ONE_WORKER = EmbedResources(num_workers=1)
SIZES = (32, 64)


@pytest.fixture(scope="session")
def image_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with six images each of two classes."""
    folder = tmp_path_factory.mktemp("served")
    rng = np.random.default_rng(0)
    for label, smooth in (("real", False), ("fake", True)):
        (folder / label).mkdir()
        for number in range(6):
            texture(rng, smooth=smooth).save(folder / label / f"{label}-{number}.png")
    return folder


@pytest.fixture(scope="session")
def feature_files(image_files: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return feature files of two encoders."""
    folder = tmp_path_factory.mktemp("features")
    for size in SIZES:
        options = EncoderOptions(device="cpu", image_size=size)
        embed(image_files, folder / f"{size}.h5", encoder="spectrum", options=options,
              resources=ONE_WORKER, progress=False)  # fmt: skip
    return [folder / f"{size}.h5" for size in SIZES]


@pytest.fixture(scope="session")
def model(feature_files: list[Path]) -> Model:
    """Return a model of one encoder."""
    return fit(load(feature_files[0]), "logreg", cv=0, progress=False)


@pytest.fixture(scope="session")
def model_of_two(feature_files: list[Path]) -> Model:
    """Return a vote of two classifiers on two encoders, which abstains."""
    features = load(*feature_files)
    fitted = fit(features, "logreg,lda", cv=0, progress=False)
    p = fitted.predict_proba(features)
    of_class = [
        np.sort(p[features.labels == name, code]) for code, name in enumerate(fitted.classes)
    ]
    abstention = Abstention(0.5, np.concatenate(of_class), (6, 6), (6, 6))
    return replace(fitted, abstention=abstention)
