"""Fixtures that run the command line in a separate process and commit every 8 rows."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COMMAND = (
    "import clipfeat.store.writing as w; w.COMMIT_ROWS = 8; from clipfeat.cli import main; main()"
)


def start_clipfeat(*arguments: object, cwd: Path) -> "subprocess.Popen[str]":
    """Start the command line in its own process group, with its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def make_images(folder: Path, n: int, seed: int = 0) -> Path:
    """Write a folder of small noisy images."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(n):
        pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04d}.png", compress_level=0)
    return folder


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Return whether ``--full`` was given."""
    return bool(request.config.getoption("--full"))
