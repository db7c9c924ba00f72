"""Tests of the shortcut checks on real files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipfeat.auditing.checking import audit
from tests.conftest import texture

Save = Callable[[Image.Image, Path, np.random.Generator], None]


def as_png(image: Image.Image, path: Path, rng: np.random.Generator) -> None:
    image.save(path.with_suffix(".png"))


def as_jpeg(image: Image.Image, path: Path, rng: np.random.Generator, **options: Any) -> None:
    image.save(path.with_suffix(".jpg"), quality=options.pop("quality", 90), **options)


def as_coarse_jpeg(image: Image.Image, path: Path, rng: np.random.Generator) -> None:
    as_jpeg(image, path, rng, quality=60)


def as_photograph(image: Image.Image, path: Path, rng: np.random.Generator) -> None:
    exif = Image.Exif()
    exif[271] = "a camera"
    as_jpeg(image, path, rng, exif=exif)


def as_any_size(image: Image.Image, path: Path, rng: np.random.Generator) -> None:
    as_jpeg(image.resize((int(rng.choice([32, 40, 56, 64])), 48)), path, rng)


def write(folder: Path, kinds: dict[str, Save], n: int = 40) -> Path:
    """Save `n` smooth images per class. A function of the class saves each image."""
    rng = np.random.default_rng(0)
    for label, save in kinds.items():
        (folder / label).mkdir(parents=True)
        for number in range(n):
            save(texture(rng, smooth=True), folder / label / f"{label}-{number}", rng)
    return folder


@pytest.mark.parametrize(
    ("fake", "real", "title"),
    [
        (as_png, as_jpeg, "file format"),
        (as_jpeg, as_coarse_jpeg, "JPEG quantisation"),
        (as_jpeg, as_photograph, "EXIF presence"),
        (as_jpeg, as_any_size, "width"),
    ],
)
def test_each_shortcut_is_a_leak(tmp_path: Path, fake: Save, real: Save, title: str) -> None:
    """A class that differs in format, JPEG quantisation, EXIF or size is a leak."""
    run = audit(write(tmp_path / "images", {"fake": fake, "real": real}))
    leaks = {finding.check: finding for finding in run.findings if finding.severity == "leak"}
    assert title in leaks
    assert leaks[title].numbers["auc"] > 0.95
    assert f"{title} alone separates " in leaks[title].sentence
    assert run.has_leak


def test_the_sentence_names_the_formats(tmp_path: Path) -> None:
    """If one class is PNG and the other JPEG, the finding gives the share of each format."""
    run = audit(write(tmp_path / "images", {"fake": as_png, "real": as_jpeg}))
    (sentence,) = [finding.sentence for finding in run.findings if finding.check == "file format"]
    assert sentence.startswith("file format alone separates real from fake: AUC 1.00 (at least 0.9")
    assert sentence.endswith("real JPEG 100%, fake PNG 100%")


def test_classes_saved_alike_have_no_shortcut(tmp_path: Path) -> None:
    """Two classes that are saved in the same way pass every check."""
    run = audit(write(tmp_path / "images", {"fake": as_jpeg, "real": as_jpeg}))
    assert not run.findings
    assert {"file size", "file format", "JPEG quantisation", "EXIF presence"} <= set(run.passed)


@pytest.mark.shared
def test_the_leaks_of_real_sets(shared: Path) -> None:
    """The format and the size reveal the class in a set of generators, but not in CIFAKE."""
    of_generators = audit(shared / "data" / "generators" / "manifest.csv")
    leaks = {finding.check for finding in of_generators.findings if finding.severity == "leak"}
    assert {"file format", "width", "aspect ratio"} <= leaks
    of_cifake = audit(shared / "data" / "cifake-test-000000.tar")
    assert not of_cifake.has_leak
