"""Tests of `clipfeat embed` being killed or interrupted while readers read its file."""

import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.store import load
from tests.faults.conftest import make_images, start_clipfeat
from tests.faults.forking import ForkedRun

N_IMAGES = 200
EMBED = ("embed", "images", "out.h5", "--encoder", "spectrum", "-b", 4, "-j", 1, "--device", "cpu")


def rows(path: Path) -> dict[str, bytes]:
    """Read the rows by path. The result is empty before the first commit."""
    try:
        features = load(path)
    except RefusedFileError as error:
        assert "no such feature file" in str(error)
        return {}
    by_path = {p: x.tobytes() for p, x in zip(features.paths.tolist(), features.X, strict=True)}
    assert len(by_path) == len(features), "a row is duplicated"
    return by_path


def check_whole(path: Path, expected: dict[str, bytes]) -> None:
    """Check that a feature file contains exactly the expected rows."""
    seen = rows(path)
    wrong = [name for name in seen | expected if seen.get(name) != expected.get(name)]
    assert not wrong, f"{len(wrong)} of {len(seen)}: {wrong[:9]}; {load(path).failures[:9]}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Return the images, and the rows of a run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    make_images(folder / "images", N_IMAGES)
    run = ForkedRun(EMBED, folder)
    run.communicate(timeout=120)
    assert run.returncode == 0
    return folder / "images", rows(folder / "out.h5")


def disturb(
    folder: Path, images: Path, expected: dict[str, bytes], seed: int, stop: signal.Signals
) -> int:
    """Stop a run at a random moment, check the rows, resume it, and return its exit code."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "images").symlink_to(images)
    run = ForkedRun(EMBED, folder)
    parts = folder / "out.h5.parts"
    while run.poll() is None and not parts.exists():
        time.sleep(0.01)
    # The moment lies between the first commit and some time after the merge.
    random.seed(seed)
    time.sleep(random.random() * 0.9)
    before = rows(folder / "out.h5")
    for _ in range(1 if stop == signal.SIGKILL else 3):
        run.send_signal(stop)
        time.sleep(0.02)
    run.communicate(timeout=60)
    after = rows(folder / "out.h5")
    assert before.items() <= after.items(), "a committed row was lost or changed"
    assert after.items() <= expected.items(), "a row is wrong"
    again = ForkedRun(EMBED, folder)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    check_whole(folder / "out.h5", expected)
    encoded = re.search(r"^(\d+) images? encoded", output, re.M)
    assert encoded is not None
    assert int(encoded[1]) == N_IMAGES - len(after), "a committed row was encoded again"
    left = {path.name for path in folder.iterdir()} - {"images", "out.h5", ".out.h5.stat"}
    assert not left, left
    return run.returncode


def test_killed_at_a_random_moment(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool
) -> None:
    """After SIGKILL, all committed rows are intact, and the next run encodes only the others."""
    images, expected = whole
    stopped = [
        disturb(tmp_path / "x", images, expected, seed, signal.SIGKILL)
        for seed in range(200 if full else 10)
    ]
    assert -signal.SIGKILL in stopped


def test_interrupted_at_a_random_moment(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool
) -> None:
    """After repeated Ctrl-C, SIGTERM or SIGHUP, rows are kept and the exit code is 130."""
    images, expected = whole
    for seed in range(20 if full else 3):
        stop = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[seed % 3]
        assert disturb(tmp_path / "x", images, expected, seed, stop) in (130, 0)


def test_readers_see_a_complete_set(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool
) -> None:
    """During writing and merging, no reader sees fewer rows than an earlier reader."""
    images, expected = whole
    n_reads, n_wanted = 0, 1000 if full else 20
    while n_reads < n_wanted:
        folder = tmp_path / str(n_reads)
        folder.mkdir()
        (folder / "images").symlink_to(images)
        run = ForkedRun(EMBED, folder)
        n_before = 0
        while run.poll() is None:
            seen = rows(folder / "out.h5")
            assert seen.items() <= expected.items()
            assert len(seen) >= n_before, "a reader saw less than the one before"
            n_reads += bool(seen)
            n_before = len(seen)
            time.sleep(0.02)
        run.communicate(timeout=60)
        assert run.returncode == 0
    check_whole(folder / "out.h5", expected)


def test_a_second_writer_is_refused(tmp_path: Path, full: bool) -> None:
    """The second writer exits with code 5 and names the process and host of the first."""
    make_images(tmp_path / "images", 12)
    from clipfeat.store import FeatureWriter
    from tests.conftest import make_spec

    with FeatureWriter(tmp_path / "out.h5", make_spec()) as first:
        for _ in range(50 if full else 2):
            begun = time.monotonic()
            second = start_clipfeat(*EMBED, cwd=tmp_path)
            _, errors = second.communicate(timeout=60)
            assert second.returncode == 5
            assert f"process {os.getpid()} on {os.uname().nodename}" in errors
            assert time.monotonic() - begun < 30  # Python takes most of this time to start
        first.finish()
    assert len(load(tmp_path / "out.h5")) == 0


def test_the_undisturbed_run(whole: tuple[Path, dict[str, bytes]]) -> None:
    """Without interruptions, each image has one distinct, finite row."""
    _, expected = whole
    assert len(expected) == N_IMAGES == len(set(expected.values()))
    assert np.isfinite(np.frombuffer(b"".join(expected.values()), np.float32)).all()
