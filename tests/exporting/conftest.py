"""Small models on real networks that open within a second."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

import clipfeat
from clipfeat.encoders import EncoderOptions, onnx_export, open_encoder
from clipfeat.encoders.encoder import Encoder
from clipfeat.features import FeatureSet
from clipfeat.images.decode import RGB
from clipfeat.model import Model
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import texture
from tests.model.test_codecs import fitted


@pytest.fixture(scope="package", autouse=True)
def exported_networks() -> Iterator[None]:
    """Export each network only once, because torch needs seconds for an export."""
    plain = onnx_export.encoder_to_onnx
    made: dict[tuple[str, int], Any] = {}

    def encoder_to_onnx(encoder: Encoder, opset: int) -> Any:
        key = encoder.spec.fingerprint, opset
        if key not in made:
            made[key] = plain(encoder, opset)
        return copy.deepcopy(made[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_export, "encoder_to_onnx", encoder_to_onnx)
        yield


def pictures(n: int, seed: int = 0) -> list[RGB]:
    """Return textures of two kinds, in alternation and of varying size."""
    rng = np.random.default_rng(seed)
    images: list[Image.Image] = [
        texture(rng, smooth=bool(i % 2), size=int(rng.integers(24, 90))) for i in range(n)
    ]
    return [np.asarray(image) for image in images]


def model_of(encoders: Sequence[tuple[str, EncoderOptions]], clf: str, **changes: Any) -> Model:
    """Fit a model on the joined features of several encoders."""
    opened = [open_encoder(name, options) for name, options in encoders]
    images = pictures(24)
    features = FeatureSet(
        X=np.hstack([encoder.encode_images(images) for encoder in opened]),
        y=np.arange(24) % 2,
        classes=("real", "fake"),
        paths=np.array([f"{i}.png" for i in range(24)]),
        keys=np.array([f"{i:032x}".encode() for i in range(24)]),
        specs=tuple(encoder.spec for encoder in opened),
    )
    return Model(fitted(clf, features), features.classes, features.specs, members=(clf,), **changes)


@pytest.fixture(scope="session")
def lite_model() -> Model:
    """Return a model of EfficientNet-Lite0 at a small size."""
    options = EncoderOptions(image_size=64, precision="fp32", device="cpu")
    return model_of([("efficientnet-lite0", options)], "logreg", threshold=0.4)


@pytest.fixture(scope="session")
def abstaining_model() -> Model:
    """Return a model that abstains, with a stepwise calibration and a quarter of wrong labels."""
    encoder = open_encoder(
        "efficientnet-lite0", EncoderOptions(image_size=64, precision="fp32", device="cpu")
    )
    n = 160
    wrong = np.random.default_rng(0).uniform(size=n) < 0.25
    features = FeatureSet(
        X=encoder.encode_images(pictures(n, seed=5)),
        y=(np.arange(n) + wrong) % 2,
        classes=("real", "fake"),
        paths=np.array([f"{i}.png" for i in range(n)]),
        keys=np.array([f"{i:032x}".encode() for i in range(n)]),
        specs=(encoder.spec,),
    )
    options = FitOptions(abstain=0.2, calibrate="isotonic")
    return clipfeat.fit(features, "knn", cv=3, options=options, progress=False)
