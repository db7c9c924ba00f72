"""Tests of ``clipfeat demo``."""

from pathlib import Path

from tests.cli.command_line import assert_fails, clipfeat, succeed


def test_every_printed_path_exists(here: Path) -> None:
    """Every path that the demo prints exists, and the demo can be repeated in its folder."""
    result = succeed("demo", "-o", "demo")
    assert "SIMULATED" in result.stdout
    for name in ("features.h5", "model.clipfeat", "predictions.csv", "benchmark/leaderboard.md",
                 "benchmark-unseen-generator/leaderboard.md"):  # fmt: skip
        assert f"demo/{name}" in result.stdout
        assert (here / "demo" / name).stat().st_size > 0
    assert "clipfeat embed images/ out.h5 && clipfeat fit" in result.stdout
    succeed("demo", "-o", "demo")


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
    succeed("demo", "-o", "demo", "--images-only")
    assert sorted(path.name for path in (here / "demo").iterdir()) == ["images", "new"]
