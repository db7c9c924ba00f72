"""``clipfeat audit`` from the command line."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from clipfeat.cli import app


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clipfeat(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_leak_is_exit_code_7(image_folder: Path) -> None:
    """PNG against JPEG: a sentence a line, what was not checked and why, files, and the code."""
    for path in sorted((image_folder / "real").glob("*.png")):
        for number in range(2):
            Image.open(path).rotate(number * 90).save(path.with_name(f"{path.stem}-{number}.jpg"))
        path.unlink()
    result = clipfeat("audit", "images", "-o", "found")
    assert result.exit_code == 7, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("36 files: ")
    (said,) = [line for line in lines if line.startswith("LEAK: file format alone tells ")]
    assert said.endswith("real JPEG 100%, fake PNG 100%")
    assert any(line.startswith("not checked: near duplicates, mislabelled") for line in lines)
    written = sorted(path.name for path in Path("found").iterdir())
    assert written == ["audit.json", "files.csv", "findings.csv"]
    again = clipfeat("audit", "images", "-o", "found")
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert clipfeat("audit", "images", "-o", "found", "--overwrite").exit_code == 7


def test_a_feature_file_with_its_images(image_folder: Path) -> None:
    """What is merely worth knowing exits with 0."""
    clipfeat("embed", "images", "out.h5", "--encoder", "spectrum", "--device", "cpu")
    result = clipfeat("audit", "out.h5", "--images", "images")
    assert result.exit_code == 0, result.stderr
    assert "JPEG quantisation" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("none",), 1, "no such folder"),
        (("none.h5",), 6, "no such feature file"),
        (("images", "--images", "images"), 2, "images already"),
        (("images", "-o", "images"), 2, "images is not empty"),
    ],
)
def test_mistakes_are_one_line(
    image_folder: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    """Each has the exit code of its kind."""
    result = clipfeat("audit", *words)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
