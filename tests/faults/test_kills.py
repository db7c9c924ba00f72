"""Tests of `clipfeat embed` being killed or interrupted while readers read its file."""

import os
import random
import re
import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.store import load
from tests.faults.conftest import make_images
from tests.faults.forking import ForkedRun

N_IMAGES = 100
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


class Whole(NamedTuple):
    """The images, and the rows and the seconds after the first commit of an undisturbed run."""

    images: Path
    rows: dict[str, bytes]
    seconds: float


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Return the images, and the rows and seconds of a run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    make_images(folder / "images", N_IMAGES)
    run = ForkedRun(EMBED, folder)
    wait_for_commit(run, folder)
    begun = time.monotonic()
    run.communicate(timeout=120)
    seconds = time.monotonic() - begun
    assert run.returncode == 0
    return Whole(folder / "images", rows(folder / "out.h5"), seconds)


def wait_for_commit(run: ForkedRun, folder: Path) -> None:
    while run.poll() is None and not (folder / "out.h5.parts").exists():
        time.sleep(0.01)


def disturb(folder: Path, whole: Whole, moment: float, stop: signal.Signals) -> int:
    """Stop a run, check the rows, resume the run, and return the exit code of the first run.

    The moment is 0 at the first commit, and 1 when an undisturbed run ends.
    """
    expected = whole.rows
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "images").symlink_to(whole.images)
    run = ForkedRun(EMBED, folder)
    wait_for_commit(run, folder)
    time.sleep(moment * whole.seconds)
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


def random_moments(n: int) -> list[float]:
    """Return one random moment of each `n`th of a run, so that every phase is hit."""
    rng = random.Random(0)
    return [(number + rng.random()) / n for number in range(n)]


def test_killed_at_a_random_moment(tmp_path: Path, whole: Whole, full: bool) -> None:
    """After SIGKILL, all committed rows are intact, and the next run encodes only the others."""
    stopped = [
        disturb(tmp_path / "x", whole, moment, signal.SIGKILL)
        for moment in random_moments(200 if full else 6)
    ]
    assert -signal.SIGKILL in stopped


def test_interrupted_at_a_random_moment(tmp_path: Path, whole: Whole, full: bool) -> None:
    """After repeated Ctrl-C, SIGTERM or SIGHUP, rows are kept and the exit code is 130."""
    for number, moment in enumerate(random_moments(20 if full else 3)):
        stop = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[number % 3]
        assert disturb(tmp_path / "x", whole, moment, stop) in (130, 0)


def test_readers_see_a_complete_set(tmp_path: Path, whole: Whole, full: bool) -> None:
    """During writing and merging, no reader sees fewer rows than an earlier reader."""
    images, expected, _ = whole
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
            second = ForkedRun(EMBED, tmp_path)
            _, errors = second.communicate(timeout=60)
            assert second.returncode == 5
            assert f"process {os.getpid()} on {os.uname().nodename}" in errors
            assert time.monotonic() - begun < 30
        first.finish()
    assert len(load(tmp_path / "out.h5")) == 0


def test_the_undisturbed_run(whole: Whole) -> None:
    """Without interruptions, each image has one distinct, finite row."""
    expected = whole.rows
    assert len(expected) == N_IMAGES == len(set(expected.values()))
    assert np.isfinite(np.frombuffer(b"".join(expected.values()), np.float32)).all()
