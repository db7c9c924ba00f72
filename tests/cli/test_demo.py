"""Tests of ``clipfeat demo``."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from clipfeat.cli import demo_images
from clipfeat.report import run_folder
from clipfeat.store import load
from tests.cli.command_line import assert_fails, clipfeat, succeed


@contextmanager
def few_images() -> Iterator[pytest.MonkeyPatch]:
    """Make the demo write 100 images, which are not those of a normal demo."""
    few = partial(demo_images.make_simulated, patches=2, new=2, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_images, "make_simulated", few)
        yield patch


def test_every_printed_path_exists(here: Path) -> None:
    """Every path that the demo prints exists, also if a demo with other images came before."""
    with few_images() as patch:
        page = [here / "report.html"]
        patch.setattr(run_folder, "write_page", lambda *_, **__: page)  # the slowest step
        succeed("demo", "-o", "demo")
    result = succeed("demo", "-o", "demo")
    assert "SIMULATED" in result.stdout
    for name in ("features.h5", "model.clipfeat", "predictions.csv", "benchmark/leaderboard.md",
                 "benchmark-unseen-generator/leaderboard.md"):  # fmt: skip
        assert f"demo/{name}" in result.stdout
        assert (here / "demo" / name).stat().st_size > 0
    assert "clipfeat embed images/ out.h5 && clipfeat fit" in result.stdout
    assert "560 images encoded" in result.stdout
    assert len(load("demo/features.h5")) == 560


def test_another_folder_is_refused(image_folder: Path) -> None:
    """A folder that no demo wrote is refused and not changed."""
    assert_fails(clipfeat("demo", "-o", "images"), 2, "images exists")


def test_links_out_of_the_folder_are_refused(here: Path) -> None:
    """A folder from a stranger could replace any file with images or a table."""
    (here / "demo" / "images").mkdir(parents=True)
    (here / "own.txt").write_text("precious")
    (here / "demo" / "images" / "manifest.csv").symlink_to(here / "own.txt")
    result = clipfeat("demo", "-o", "demo", "--images-only")
    assert_fails(result, 2, "is a link that leads outside")
    assert (here / "own.txt").read_text() == "precious"


def test_images_only(here: Path) -> None:
    """``--images-only`` writes the images and nothing else."""
    with few_images():
        succeed("demo", "-o", "demo", "--images-only")
    assert sorted(path.name for path in (here / "demo").iterdir()) == ["images", "new"]
