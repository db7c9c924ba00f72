"""`clipfeat embed`, killed, interrupted and read at random times."""

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
    """Read the committed rows; empty if nothing is committed."""
    try:
        found = load(path)
    except RefusedFileError as error:
        assert "no such feature file" in str(error)
        return {}
    by_path = {p: x.tobytes() for p, x in zip(found.paths.tolist(), found.X, strict=True)}
    assert len(by_path) == len(found), "a row is doubled"
    return by_path


def check_whole(path: Path, expected: dict[str, bytes]) -> None:
    """Check that a feature file has exactly these rows; report differences and failures."""
    found = rows(path)
    wrong = [name for name in found | expected if found.get(name) != expected.get(name)]
    assert not wrong, f"{len(wrong)} of {len(found)}: {wrong[:9]}; {load(path).failures[:9]}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The images and the rows of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    make_images(folder / "images", N_IMAGES)
    run = ForkedRun(EMBED, folder)
    run.communicate(timeout=120)
    assert run.returncode == 0
    return folder / "images", rows(folder / "out.h5")


def disturb(
    folder: Path, images: Path, expected: dict[str, bytes], number: int, how: signal.Signals
) -> int:
    """Start, read, stop at a random time, read and resume; return the first exit code."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "images").symlink_to(images)
    run = ForkedRun(EMBED, folder)
    parts = folder / "out.h5.parts"
    while run.poll() is None and not parts.exists():
        time.sleep(0.01)
    # From the first commit to some time after the merge.
    random.seed(number)
    time.sleep(random.random() * 0.9)
    before = rows(folder / "out.h5")
    run.send_signal(how)
    run.communicate(timeout=60)
    after = rows(folder / "out.h5")
    assert before.items() <= after.items(), "a committed row was lost or changed"
    assert after.items() <= expected.items(), "a row is wrong"
    again = ForkedRun(EMBED, folder)
    told, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    check_whole(folder / "out.h5", expected)
    encoded = re.search(r"^(\d+) images encoded", told, re.M)
    assert encoded is not None
    assert int(encoded[1]) == N_IMAGES - len(after), "a committed row was encoded again"
    left = {path.name for path in folder.iterdir()} - {"images", "out.h5", ".out.h5.stat"}
    assert not left, left
    return run.returncode


def test_killed_at_a_random_moment(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool
) -> None:
    """After SIGKILL, committed rows are intact and the next run encodes only the rest."""
    images, expected = whole
    stopped = [
        disturb(tmp_path / "x", images, expected, number, signal.SIGKILL)
        for number in range(200 if full else 10)
    ]
    assert -signal.SIGKILL in stopped


def test_interrupted_at_a_random_moment(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool
) -> None:
    """Ctrl-C and SIGTERM commit, exit with code 130, and the next run resumes."""
    images, expected = whole
    for number in range(20 if full else 3):
        how = (signal.SIGINT, signal.SIGTERM)[number % 2]
        assert disturb(tmp_path / "x", images, expected, number, how) in (130, 0)


def test_readers_see_a_complete_set(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool
) -> None:
    """A concurrent reader sees at least the rows committed before it started."""
    images, expected = whole
    reads, wanted, least = 0, 1000 if full else 20, 0
    while reads < wanted:
        folder = tmp_path / str(reads)
        folder.mkdir()
        (folder / "images").symlink_to(images)
        run = ForkedRun(EMBED, folder)
        least = 0
        while run.poll() is None:
            seen = rows(folder / "out.h5")
            assert seen.items() <= expected.items()
            assert len(seen) >= least, "a reader saw less than the one before"
            reads += bool(seen)
            least = len(seen)
            time.sleep(0.02)
        run.communicate(timeout=60)
        assert run.returncode == 0
    check_whole(folder / "out.h5", expected)


def test_a_second_writer_is_turned_away(tmp_path: Path, full: bool) -> None:
    """A second writer fails within a second with exit code 5 and names the first."""
    make_images(tmp_path / "images", 12)
    from clipfeat.store import FeatureWriter
    from tests.conftest import make_spec

    with FeatureWriter(tmp_path / "out.h5", make_spec()) as first:
        for _ in range(50 if full else 2):
            begun = time.monotonic()
            second = start_clipfeat(*EMBED, cwd=tmp_path)
            _, said = second.communicate(timeout=60)
            assert second.returncode == 5
            assert f"process {os.getpid()} on {os.uname().nodename}" in said
            assert time.monotonic() - begun < 30  # most of it starting Python
        first.finish()
    assert len(load(tmp_path / "out.h5")) == 0


def test_values_are_what_they_were(whole: tuple[Path, dict[str, bytes]]) -> None:
    """The undisturbed run has every image once, with distinct rows."""
    _, expected = whole
    assert len(expected) == N_IMAGES == len(set(expected.values()))
    assert np.isfinite(np.frombuffer(b"".join(expected.values()), np.float32)).all()
