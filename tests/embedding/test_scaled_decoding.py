"""Tests of embedding and prediction with JPEG images that are reduced while decoding."""

from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfeat.embedding.image_encoder import ImageEncoder
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.registry import options_of
from clipfeat.errors import FingerprintError, UnknownNameError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.images.decode import DECODE, decode
from clipfeat.images.faces import open_finder
from clipfeat.images.source_options import SourceOptions
from clipfeat.model import load_model
from clipfeat.prediction.predicting import predict
from clipfeat.spec import EncoderSpec
from clipfeat.store import load, open_stored

VIT = "timm:test_vit"
EXACT = EncoderOptions(untrained=True, device="cpu", precision="fp32", image_size=32)
SCALED = replace(EXACT, decode="scaled")

pytestmark = pytest.mark.filterwarnings("ignore:.*RANDOM weights")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Write a large and a small JPEG image, and a large and a small PNG image."""
    folder = tmp_path / "images"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    for suffix in ("jpg", "png"):
        for name, size in (("large", (640, 480)), ("small", (120, 100))):
            image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
            image.save(folder / f"{name}.{suffix}")
    return folder


def rows(path: Path) -> dict[str, np.ndarray]:
    features = load(path)
    return dict(zip(features.paths.tolist(), features.X, strict=True))


def test_only_large_jpeg_images_change(photographs: Path, tmp_path: Path) -> None:
    """Only the large JPEG image gets other features, those of its reduced pixels."""
    spec = embed(photographs, tmp_path / "exact.h5", encoder=VIT, options=EXACT).spec
    report = embed(photographs, tmp_path / "scaled.h5", encoder=VIT, options=SCALED)
    least_side = 2 * ceil(32 / spec.crop_pct)
    exact, scaled = rows(tmp_path / "exact.h5"), rows(tmp_path / "scaled.h5")
    assert [name for name in exact if not np.array_equal(exact[name], scaled[name])] == [
        "large.jpg"
    ]
    data = (photographs / "large.jpg").read_bytes()
    pixels = decode(data, least_side=least_side).pixels
    assert pixels.shape[:2] == (120, 160)
    encoder = open_encoder(VIT, EXACT)
    assert np.allclose(encoder.encode_images([pixels])[0], scaled["large.jpg"], atol=1e-5)
    paths = sorted(photographs.iterdir())
    assert np.allclose(ImageEncoder(VIT, SCALED).transform(paths), list(scaled.values()), atol=1e-5)
    assert report.spec == replace(spec, decode=report.spec.decode)
    assert (spec.decode, spec.least_side, report.spec.least_side) == (DECODE, 0, least_side)
    with open_stored(tmp_path / "scaled.h5") as stored:
        sizes = stored.newest.h5["image_size"][:]
    assert sizes.tolist() == [[480, 640], [480, 640], [100, 120], [100, 120]]


def test_the_two_modes_are_not_mixed(photographs: Path, tmp_path: Path) -> None:
    """A file of one mode cannot be continued in the other. A repeated run encodes nothing."""
    out = tmp_path / "out.h5"
    embed(photographs, out, encoder=VIT, options=SCALED)
    assert embed(photographs, out, encoder=VIT, options=SCALED).progress.encoded == 0
    with pytest.raises(FingerprintError, match=r"decode: .*scaled-jpeg-1', not"):
        embed(photographs, out, encoder=VIT, options=EXACT)


def test_a_spec_opens_the_same_decoding() -> None:
    """A stored spec opens the encoder with the same decoding mode."""
    spec = open_encoder(VIT, SCALED).spec
    read = EncoderSpec.from_json(spec.to_json())
    assert open_encoder(VIT, options_of(read, device="cpu")).spec == spec
    assert spec.title.endswith("32px decode=scaled UNTRAINED")
    assert replace(spec, crop_pct=1e-30).least_side > 2**31
    assert replace(spec, crop_pct=-1.0).least_side == 0


def test_a_model_decodes_as_its_features(photographs: Path, tmp_path: Path) -> None:
    """Predictions from images equal those from features. Views and degradations are refused."""
    for path in sorted(photographs.iterdir()):
        folder = photographs / ("real" if path.suffix == ".png" else "fake")
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    embed(photographs, tmp_path / "out.h5", encoder=VIT, options=SCALED)
    features = load(tmp_path / "out.h5")
    fit(features, "logreg", cv=0).save(tmp_path / "model.clipfeat")
    model = load_model(tmp_path / "model.clipfeat")
    assert model.specs == features.specs
    of_images = predict(model, photographs, device="cpu").probabilities
    assert np.allclose(of_images, predict(model, features).probabilities, atol=1e-6)
    with pytest.raises(UsageError, match="views and degradations need images in full size"):
        predict(model, photographs, device="cpu", inputs=SourceOptions(views="hflip"))


@pytest.mark.parametrize(
    ("inputs", "option"),
    [
        (SourceOptions(views="hflip"), "--views"),
        (SourceOptions(faces=open_finder("largest")), "--faces"),
    ],
)
def test_views_and_faces_need_exact_decoding(
    photographs: Path, tmp_path: Path, inputs: SourceOptions, option: str
) -> None:
    """Views and faces are refused before anything is written."""
    with pytest.raises(UsageError, match=f"{option} needs images in full size"):
        embed(photographs, tmp_path / "out.h5", encoder=VIT, options=SCALED, inputs=inputs)
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("spectrum", EncoderOptions(device="cpu", decode="scaled")),
        (VIT, replace(SCALED, crop="tiles")),
        (VIT, replace(SCALED, crop="none")),
    ],
)
def test_encoders_that_do_not_resize_are_refused(name: str, options: EncoderOptions) -> None:
    """Encoders that use the original size refuse reduced decoding."""
    with pytest.raises(UsageError, match="does not resize images"):
        open_encoder(name, options)


def test_an_unknown_mode_is_named() -> None:
    """The error for an unknown mode lists the known ones."""
    with pytest.raises(UnknownNameError, match="exact, scaled"):
        EncoderOptions(decode="fast")
