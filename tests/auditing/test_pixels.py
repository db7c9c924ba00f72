"""Tests of the pixel properties. Each test image set differs in one property between classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from clipfeat.auditing import pixels
from clipfeat.auditing.checking import audit
from clipfeat.auditing.gathering import load_subject
from clipfeat.auditing.shortcuts import PROPERTIES
from clipfeat.images.source_options import SourceOptions
from clipfeat.system.progress import silent

Plant = Callable[[np.ndarray], np.ndarray]
N, SIDE = 40, 64
OF_PIXELS = {one.title for one in PROPERTIES[8:]}


def picture(rng: np.random.Generator) -> np.ndarray:
    """Make a smooth image whose colours, mean and contrast are random."""
    small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return large * rng.uniform(0.4, 0.8) + rng.uniform(0, 40) + rng.normal(0, 4, large.shape)


def write(folder: Path, plant: Plant, seed: int = 0) -> Path:
    """Save two classes of images. One class has a given property."""
    rng = np.random.default_rng(seed)
    for label in ("real", "fake"):
        (folder / label).mkdir(parents=True)
        for number in range(N):
            image = picture(rng)
            image = plant(image) if label == "fake" else image
            saved = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
            saved.save(folder / label / f"{number}.png", compress_level=0)
    return folder


def letterbox(image: np.ndarray) -> np.ndarray:
    image[:4] = image[-4:] = 0
    return image


def watermark(image: np.ndarray) -> np.ndarray:
    image[-8:, -8:] = np.random.default_rng(7).integers(0, 256, (8, 8, 1))
    return image


def small_watermark(image: np.ndarray) -> np.ndarray:
    image[-1:, -5:] = [
        (255, 255, 102),
        (66, 255, 255),
        (81, 218, 76),
        (255, 110, 60),
        (60, 70, 255),
    ]
    return image


def blur(image: np.ndarray) -> np.ndarray:
    as_image = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    return np.asarray(as_image.filter(ImageFilter.GaussianBlur(1)), dtype=float)


@pytest.mark.parametrize(
    ("plant", "title", "severity"),
    [
        (lambda image: image + 80, "brightness", "warning"),
        (lambda image: image + np.array([60, 0, 0]), "colour cast (red)", "warning"),
        (lambda image: image + np.array([0, 0, 60]), "colour cast (blue)", "warning"),
        (lambda image: 0.7 * image.mean(axis=2, keepdims=True) + 0.3 * image, "saturation", "warn"),
        (blur, "sharpness", "warning"),
        (letterbox, "constant border", "leak"),
        (watermark, "repeated corner patch", "leak"),
        (small_watermark, "repeated tiny corner patch", "leak"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_each_planted_fact_is_found(
    tmp_path: Path, plant: Plant, title: str, severity: str
) -> None:
    """The finding names the property, its AUC and the values in both classes."""
    findings = {one.check: one for one in audit(write(tmp_path / "images", plant)).findings}
    assert title in findings
    assert findings[title].severity.startswith(severity)
    assert findings[title].numbers["auc"] > 0.8
    assert f"{title} alone separates " in findings[title].sentence


def test_nothing_is_found_in_clean_images(tmp_path: Path) -> None:
    """Classes without any difference pass every pixel check."""
    run = audit(write(tmp_path / "images", lambda image: image))
    assert set(run.passed) >= OF_PIXELS
    assert "watermarks away from the corners" in run.not_checked[-1]


def test_large_sets_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of decoded images is limited, and the finding states it."""
    monkeypatch.setattr(pixels, "MAX_IMAGES", 60)
    run = audit(write(tmp_path / "images", letterbox))
    (finding,) = [one for one in run.findings if one.check == "constant border"]
    assert "in 60 of 80 images" in finding.sentence


def test_damaged_and_large_images_are_measured(tmp_path: Path) -> None:
    """An image that cannot be decoded has no properties. A large JPEG image is reduced."""
    folder = write(tmp_path / "images", lambda image: image)
    damaged = folder / "real" / "0.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    Image.new("RGB", (4100, 4096), (200, 10, 10)).save(folder / "real" / "1.jpg")
    subject = load_subject(folder, None, SourceOptions(), 1, silent)
    brightness = dict(
        zip(subject.features.paths.tolist(), subject.properties["brightness"].tolist(), strict=True)
    )
    assert np.isnan(brightness["real/0.png"])
    assert brightness["real/1.jpg"] == pytest.approx(220 / 3, abs=2)
    border = subject.properties["border"][subject.features.paths.tolist().index("real/1.jpg")]
    assert border == 1.0
