"""``clipfeat robustness`` from the command line."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clipfeat.cli import app


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clipfeat(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_table_and_pictures(image_folder: Path) -> None:
    """Each strength has its line; -o has the table and the curves; what failed is said."""
    clipfeat("embed", "images", "out.h5", "--encoder", "spectrum", "--device", "cpu")
    assert clipfeat("fit", "out.h5", "--cv", 0).exit_code == 0
    (image_folder / "real" / "bad.png").write_text("text")
    words = ("robustness", "model.clipfeat", "images", "--degrade", "jpeg,noise", "-o", "r")
    result = clipfeat(*words, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "24 images"
    assert [name for name in ("original", "jpeg", "noise") if f"│ {name}" in result.stdout] == [
        "original", "jpeg", "noise"
    ]  # fmt: skip
    assert "1 could not be read or degraded, such as real/bad.png" in result.stderr
    written = sorted(path.name for path in Path("r").iterdir())
    assert written == ["robustness.csv", "robustness.png", "robustness.svg"]
    again = clipfeat(*words)
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert clipfeat(*words, "--overwrite", "--max-bad", 0, "--device", "cpu").exit_code == 3


def test_mistakes_are_one_line(image_folder: Path) -> None:
    """No such model, no such degradation."""
    result = clipfeat("robustness", "none.clipfeat", "images")
    assert (result.exit_code, result.stderr.count("\n")) == (6, 1)
    result = clipfeat("robustness", "none.clipfeat", "images", "--degrade", "jpg")
    assert result.exit_code == 2
    assert "did you mean jpeg" in result.stderr
