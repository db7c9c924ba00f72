"""Functions that run a command inside the test process."""

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from clipfeat.cli import app

SPECTRUM = ("--encoder", "spectrum", "--device", "cpu")


def clipfeat(*words: object, stdin: str | None = None) -> Any:
    """Run a command and return click's result."""
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


def succeed(*words: object) -> Any:
    """Run a command that must succeed and return click's result."""
    result = clipfeat(*words)
    assert result.exit_code == 0, result.stderr
    return result


def embed(source: Path | str = "images", out: str = "out.h5", *options: object) -> None:
    """Encode images with the spectrum encoder, which needs no weights."""
    succeed("embed", source, out, *SPECTRUM, *options)


def rehash(images: Path) -> None:
    """Append a byte to each image, which changes its content hash but not its pixels."""
    for path in images.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b" ")


def assert_fails(result: Any, code: int, message: str) -> None:
    """Check that a command ended with one clear line on standard error and this exit code."""
    assert result.exit_code == code, result.stderr
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not Path("new.h5").exists()


def remove_images(images: Path, label: str, n_kept: int) -> None:
    """Delete the images of a class except the first `n_kept`."""
    for path in sorted((images / label).glob("*.png"))[n_kept:]:
        path.unlink()
