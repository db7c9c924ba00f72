"""Tests of ``clipfeat info``."""

import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from clipfeat.store import load
from tests.cli.command_line import assert_fails, clipfeat, embed, succeed


def test_a_feature_file_and_a_model_file(image_folder: Path) -> None:
    """The encoder of a feature file and of a model file is shown."""
    embed()
    succeed("fit", "--cv", 0)
    assert "spectrum 256px" in succeed("info", "out.h5").stdout
    result = succeed("info", "model.clipfeat")
    assert "spectrum 256px" in result.stdout
    assert "classes         real, fake\npositive class  fake\n" in result.stdout


def test_failed_images(image_folder: Path) -> None:
    """Ten failed images are listed. --failures lists all of them."""
    for number in range(12):
        (image_folder / "real" / f"bad-{number:02d}.png").write_text(f"text {number}")
    embed()
    assert "… and 2 more" in succeed("info", "out.h5").stdout
    assert "real/bad-11.png" in succeed("info", "out.h5", "--failures").stdout


@pytest.mark.parametrize("damaged", [b"[]", b'{"a": ', b"[" * 50_000], ids=["list", "cut", "deep"])
def test_damaged_records_are_not_shown(image_folder: Path, damaged: bytes) -> None:
    """Features are still read if the records of how they were made are damaged."""
    embed()
    with h5py.File("out.h5", "r+") as h5:
        for name in ("provenance", "libraries"):
            h5.attrs.modify(name, np.bytes_(damaged))
    assert "made by" not in succeed("info", "out.h5").stdout
    assert len(load("out.h5").y) == 24


def test_a_run_folder(image_folder: Path) -> None:
    """The command, its options, the data and the leaderboard are shown."""
    embed()
    words = ("--clf", "logreg", "--cv", 2, "--no-accelerate", "--group-col", "none")
    succeed("benchmark", "out.h5", *words, "-o", "run", "--no-audit")
    shown = succeed("info", "run").stdout
    assert "accelerate False" in shown
    assert "group_col none, clf ['logreg'], protocol KFold, protocol.n_splits 2" in shown
    assert "2-fold on 24 images" in shown
    about = json.loads(Path("run/run.json").read_text())["about"]
    assert f"data fingerprint  {about['data_fingerprint']}" in shown
    assert about["command"] in shown
    Path("training").mkdir()
    Path("run").rename("training/benchmark")
    assert "2-fold on 24 images" in succeed("info", "training").stdout


def test_mistakes(image_folder: Path) -> None:
    """Text files and folders without a run are refused."""
    Path("x.h5").write_text("text")
    assert_fails(clipfeat("info", "x.h5"), 6, "HDF5")
    assert_fails(clipfeat("info", "images"), 6, "images is a folder without a benchmark run")


@pytest.mark.parametrize("command", [("info",), ("verify",), ("export", "-o", "x.npz")])
def test_a_fifo_is_not_opened(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FIFO is refused by its type, because opening it would block."""
    os.mkfifo(tmp_path / "x.fifo")
    monkeypatch.setattr(zipfile, "is_zipfile", lambda file: pytest.fail("opened"))
    assert_fails(clipfeat(*command, tmp_path / "x.fifo"), 6, "not a regular file")
