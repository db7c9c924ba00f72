"""``clipfeat robustness``."""

from pathlib import Path

from tests.cli.command_line import assert_fails, clipfeat, embed, succeed


def test_a_table_and_plots(image_folder: Path) -> None:
    """Each strength has a line, -o writes a table and plots, and failures are printed."""
    embed()
    succeed("fit", "out.h5", "--cv", 0)
    (image_folder / "real" / "bad.png").write_text("text")
    words = ("robustness", "model.clipfeat", "images", "--degrade", "jpeg,noise", "-o", "r")
    result = succeed(*words, "--device", "cpu")
    assert result.stdout.splitlines()[0].strip() == "24 images"
    assert all(f"│ {name}" in result.stdout for name in ("original", "jpeg", "noise"))
    assert "1 file could not be read or degraded, for example real/bad.png" in result.stderr
    written = sorted(path.name for path in Path("r").iterdir())
    assert written == ["robustness.csv", "robustness.png", "robustness.svg"]
    assert_fails(clipfeat(*words), 2, "r is not empty")
    assert clipfeat(*words, "--overwrite", "--max-bad", 0, "--device", "cpu").exit_code == 3


def test_mistakes(image_folder: Path) -> None:
    """A missing model and an unknown degradation are errors."""
    assert_fails(clipfeat("robustness", "none.clipfeat", "images"), 6, "none.clipfeat")
    words = ("robustness", "none.clipfeat", "images", "--degrade", "jpg")
    assert_fails(clipfeat(*words), 2, "did you mean jpeg")
