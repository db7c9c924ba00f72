"""Tests of zero-shot classification by descriptions of the classes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

import clipfeat
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import FingerprintError, LabelError, UsageError
from clipfeat.model import load_model
from clipfeat.prediction.zero_shot import Prompts, read_prompts, zero_shot
from tests.conftest import make_features

NAMES = {"fake": ["rendering"], "real": ["photograph"], "other": ["drawing"]}
TEMPLATES = ["a {}.", "an image, a {}, of a thing."]


def test_predictions_equal_open_clips(image_folder: Path, tmp_path: Path) -> None:
    """Probabilities for two and three classes equal those computed with open_clip."""
    torch.manual_seed(7)
    model, _, transform = open_clip.create_model_and_transforms("ViT-S-32")
    model.eval()
    file = tmp_path / "weights.pt"
    torch.save(model.state_dict(), file)
    for path in sorted(image_folder.rglob("*.png"))[6:]:
        path.unlink()
    images = [transform(Image.open(path)) for path in sorted(image_folder.rglob("*.png"))]
    clipfeat.embed(
        image_folder, tmp_path / "x.h5", encoder="open_clip:ViT-S-32",
        options=EncoderOptions(weights=file, device="cpu", precision="fp32"),
    )  # fmt: skip
    features = clipfeat.load(tmp_path / "x.h5")
    assert len(features) == 6
    tokenizer = open_clip.get_tokenizer("ViT-S-32")
    for classes in (("real", "fake"), ("fake", "other", "real")):
        labelled = replace(features, y=np.arange(6) % len(classes), classes=classes)
        prompts = Prompts({name: NAMES[name] for name in classes}, TEMPLATES)
        ours = zero_shot(labelled, prompts, weights=file)
        names = [NAMES[name][0] for name in ours.classes]
        text = open_clip.build_zero_shot_classifier(model, tokenizer, names, TEMPLATES)
        with torch.inference_mode():
            pixels = model.encode_image(torch.stack(images), normalize=True)
            expected = (model.logit_scale.exp() * pixels @ text).softmax(dim=1).numpy()
        read = load_model(ours.save(tmp_path / f"{len(classes)}.clipfeat"))
        assert np.allclose(read.predict_proba(labelled), expected, atol=1e-4)
        assert np.ptp(expected, axis=1).min() > 1e-3
    other = replace(features.specs[0], weights="0" * 32)
    with pytest.raises(FingerprintError, match="image tower of open_clip:ViT-S-32 are not"):
        zero_shot(replace(labelled, specs=(other,)), prompts, weights=file)


def test_classes_and_encoders_that_do_not_fit() -> None:
    """Other classes, and encoders without a text tower, are errors."""
    with pytest.raises(LabelError, match="other classes than the features have: cat, fake"):
        zero_shot(make_features(), Prompts({"real": ["photograph"], "cat": ["cat"]}))
    with pytest.raises(UsageError, match="needs features of the layer"):
        zero_shot(make_features(), Prompts({"real": ["photograph"], "fake": ["rendering"]}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: {a: [x, y], b: z}\nmore: 1", "other fields than classes and templates"),
        ("classes: [a, b]", "no valid prompts"),
        ("classes: {a: 1, b: z}", "neither a text nor a list of texts"),
        ("classes: {a: [], b: z}", "a class has no name"),
        ("classes: {a: '', b: z}", "has 0 characters"),
        ("classes: {a: x, b: z}\ntemplates: [a photo]", "the template 'a photo' has no {}"),
        ("classes: {a: &x [x], b: *x}", "aliases such as"),
        ("classes: {a: x, b: z}\n" + "#" * 2**18, "no valid prompts|cannot be read"),
        ("[" * 100, "nested more than 32"),
    ],
)
def test_invalid_files(text: str, message: str, tmp_path: Path) -> None:
    """The error for an invalid file names the file."""
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        read_prompts(tmp_path / "p.yaml")
    assert "p.yaml" in str(error.value)


def test_names_and_templates() -> None:
    """Each class name is inserted into each template. Names may contain braces."""
    prompts = Prompts({"a": ["x", "{0}"], "b": ["z"]}, ["a {}", "the {}"])
    assert prompts.texts_of("a") == ["a x", "the x", "a {0}", "the {0}"]
    with pytest.raises(UsageError, match="give 100,001 texts, expected at most 100,000"):
        Prompts({"a": ["x"] * 100_000, "b": ["z"]})
