"""Test of embedding onto a full disk, on a small tmpfs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clipfeat.cli import app
from clipfeat.store import load, writing
from tests.faults.conftest import make_images


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 64 KiB, which tests can resize."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "clipfeat-test", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def resize(disk: Path, kib: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kib}k", disk], check=True)


def test_a_full_disk(
    tmp_path: Path, small_disk: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 4, committed rows can be read, and a larger disk lets the run resume."""
    monkeypatch.setattr(writing, "COMMIT_ROWS", 16)
    images = make_images(tmp_path / "images", 150)
    out = small_disk / "out.h5"
    command = [
        "embed",
        str(images),
        str(out),
        "--encoder",
        "spectrum",
        "--device",
        "cpu",
        "-b",
        "8",
    ]
    codes = []
    for kib in range(8, 208, 5) if full else (12, 48, 96, 160):
        for path in small_disk.iterdir():
            subprocess.run(["rm", "-rf", path], check=True)
        resize(small_disk, kib)
        result = CliRunner().invoke(app, command)
        codes.append(result.exit_code)
        assert result.exit_code in (0, 4), result.stderr
        if result.exit_code == 4:
            assert "rows are safe" in result.stderr or "locking" in result.stderr
            assert not list(small_disk.rglob("*.tmp"))
            if list(small_disk.rglob("*.h5")):
                assert len(load(out)) % 8 in (0, 6)
        resize(small_disk, 4096)
        again = CliRunner().invoke(app, command)
        assert again.exit_code == 0, again.stderr
        assert len(load(out)) == 150
    assert 4 in codes
