"""Tests of ``clipfeat audit``."""

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command_line import assert_fails, clipfeat, embed, succeed


def test_a_leak_is_exit_code_7(image_folder: Path) -> None:
    """Labels that follow the file format give exit code 7. Findings are printed and saved."""
    for path in sorted((image_folder / "real").glob("*.png")):
        for number in range(2):
            Image.open(path).rotate(number * 90).save(path.with_name(f"{path.stem}-{number}.jpg"))
        path.unlink()
    result = clipfeat("audit", "images", "-o", "audit")
    assert result.exit_code == 7, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("36 files: ")
    (leak,) = [line for line in lines if line.startswith("LEAK: file format alone ")]
    assert leak.endswith("real JPEG 100%, fake PNG 100%")
    unchecked = "not checked: near duplicates, possible label errors"
    assert any(line.startswith(unchecked) for line in lines)
    written = sorted(path.name for path in Path("audit").iterdir())
    assert written == ["audit.json", "files.csv", "findings.csv"]
    assert_fails(clipfeat("audit", "images", "-o", "audit"), 2, "audit is not empty")
    assert clipfeat("audit", "images", "-o", "audit", "--overwrite").exit_code == 7


def test_a_feature_file_with_its_images(image_folder: Path) -> None:
    """Findings that are no leak give exit code 0."""
    embed()
    assert "JPEG quantisation" in succeed("audit", "out.h5", "--images", "images").stdout


def test_patterns_give_the_labels(image_folder: Path) -> None:
    """``--real`` and ``--fake`` label images. They cannot be used with a feature file."""
    words = ("--real", "real", "--fake", "fake/*-0[0-2]*")
    shown = clipfeat("audit", "images", *words).stdout
    assert "9 of 24 files have no label" in shown
    embed()
    assert_fails(clipfeat("audit", "out.h5", *words), 2, "which has labels of its own")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("none",), 1, "no such folder"),
        (("none.h5",), 6, "no such feature file"),
        (("images", "--images", "images"), 2, "--images can only be combined"),
        (("images", "-o", "images"), 2, "images is not empty"),
    ],
)
def test_mistakes(image_folder: Path, words: tuple[str, ...], code: int, message: str) -> None:
    """Each invalid command prints one line and has its exit code."""
    assert_fails(clipfeat("audit", *words), code, message)
