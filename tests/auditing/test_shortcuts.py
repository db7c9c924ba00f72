"""Shortcuts are found in real files of every kind, and not where there are none."""

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


def as_jpeg(image: Image.Image, path: Path, rng: np.random.Generator, **how: Any) -> None:
    image.save(path.with_suffix(".jpg"), quality=how.pop("quality", 90), **how)


def as_coarse_jpeg(image: Image.Image, path: Path, rng: np.random.Generator) -> None:
    as_jpeg(image, path, rng, quality=60)


def as_photograph(image: Image.Image, path: Path, rng: np.random.Generator) -> None:
    exif = Image.Exif()
    exif[271] = "a camera"
    as_jpeg(image, path, rng, exif=exif)


def as_any_size(image: Image.Image, path: Path, rng: np.random.Generator) -> None:
    as_jpeg(image.resize((int(rng.choice([32, 40, 56, 64])), 48)), path, rng)


def write(folder: Path, kinds: dict[str, Save], n: int = 40) -> Path:
    """So many smooth images of each class, saved in its own way."""
    rng = np.random.default_rng(0)
    for label, save in kinds.items():
        (folder / label).mkdir(parents=True)
        for number in range(n):
            save(texture(rng, smooth=True), folder / label / f"{label}-{number}", rng)
    return folder


@pytest.mark.parametrize(
    ("fake", "real", "found"),
    [
        (as_png, as_jpeg, "file format"),
        (as_jpeg, as_coarse_jpeg, "JPEG quantisation"),
        (as_jpeg, as_photograph, "EXIF presence"),
        (as_jpeg, as_any_size, "width"),
    ],
)
def test_each_shortcut_is_a_leak(tmp_path: Path, fake: Save, real: Save, found: str) -> None:
    """PNG against JPEG, and the other ways in which files give their class away."""
    run = audit(write(tmp_path / "images", {"fake": fake, "real": real}))
    leaks = {finding.check: finding for finding in run.findings if finding.severity == "leak"}
    assert found in leaks
    assert leaks[found].numbers["auc"] > 0.95
    assert f"{found} alone tells " in leaks[found].sentence
    assert run.has_leak


def test_png_against_jpeg_is_said_plainly(tmp_path: Path) -> None:
    """The classic leak, in words."""
    run = audit(write(tmp_path / "images", {"fake": as_png, "real": as_jpeg}))
    (said,) = [finding.sentence for finding in run.findings if finding.check == "file format"]
    assert said.startswith("file format alone tells real from fake: AUC 1.00 (at least 0.9")
    assert said.endswith("real JPEG 100%, fake PNG 100%")


def test_files_made_alike_have_no_shortcut(tmp_path: Path) -> None:
    """Both classes saved the same way: nothing is found but what is known."""
    run = audit(write(tmp_path / "images", {"fake": as_jpeg, "real": as_jpeg}))
    assert not run.findings
    assert {"file size", "file format", "JPEG quantisation", "EXIF presence"} <= set(run.passed)


@pytest.mark.shared
def test_the_leaks_of_real_sets(shared: Path) -> None:
    """Of generators' own files format and size give all away; of CIFAKE's, made alike, nothing."""
    of_generators = audit(shared / "data" / "generators" / "manifest.csv")
    leaks = {finding.check for finding in of_generators.findings if finding.severity == "leak"}
    assert {"file format", "width", "aspect ratio"} <= leaks
    of_cifake = audit(shared / "data" / "cifake-test-000000.tar")
    assert not of_cifake.has_leak
