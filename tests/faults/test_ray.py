"""Tests of `clipfeat embed` and `benchmark` on Ray with killed workers, drivers and nodes."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from clipfeat.store.reading import part_paths
from tests.faults.conftest import make_images, start_clipfeat
from tests.faults.forking import ForkedRun
from tests.faults.test_kills import check_whole, rows

pytest.importorskip("ray")

N_IMAGES = 400
EMBED = ("embed", "images", "out.h5", "--encoder", "spectrum", "-b", 4, "--device", "cpu")
ON_RAY = (*EMBED, "--engine", "ray")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Return images, one of them damaged, and the rows of a run with the local engine."""
    folder = tmp_path_factory.mktemp("whole")
    make_images(folder / "images", N_IMAGES)
    (folder / "images" / "0100-bad.png").write_text("text")
    run = ForkedRun(EMBED, folder)
    run.communicate(timeout=120)
    assert run.returncode == 0
    return folder / "images", rows(folder / "out.h5")


def fresh(folder: Path, images: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "images").symlink_to(images)
    return folder


def descendants(pid: int) -> dict[int, str]:
    """Return the commands of all descendants of a process, by process id."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                names[int(entry.name)] = command.decode(errors="replace")
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return {member: names.get(member, "") for member in family - {pid}}


def workers(pid: int) -> list[int]:
    """Return the Ray processes that do a run's work. Ray's agents belong to the node.

    Idle processes are left out: if the first worker dies before the driver is connected, Ray 2.60
    lets the driver wait forever.
    """
    return [
        worker
        for worker, name in descendants(pid).items()
        if name.startswith("ray::") and not name.startswith("ray::IDLE")
        if "Agent" not in name.partition(" ")[0]
    ]


def running(pids: list[int], seconds: float = 30.0) -> list[str]:
    """Wait for processes to end, and return the commands of those that are still running."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if _lives(pid)]:
        if time.monotonic() > deadline:
            return [Path(f"/proc/{pid}/cmdline").read_text() for pid in left]
        time.sleep(0.1)
    return []


def _lives(pid: int) -> bool:
    """Return whether a process exists and is not a zombie, which its parent may never reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def finished(run: "ForkedRun | subprocess.Popen[str]") -> str:
    """Wait for a run to succeed, and return its output."""
    output, errors = run.communicate(timeout=400)
    assert run.returncode == 0, errors
    return output


def test_workers_killed_at_random(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool
) -> None:
    """If workers die, no row is lost, repeated or wrong, and only the damaged image fails."""
    images, expected = whole
    random.seed(0)
    n_kills, n_wanted = 0, 100 if full else 3
    while n_kills < n_wanted:
        folder = fresh(tmp_path / "x", images)
        run = start_clipfeat(*ON_RAY, cwd=folder)
        n_of_this_run = 0
        while run.poll() is None and n_of_this_run < min(5, n_wanted):
            time.sleep(random.uniform(0.2, 1.5))
            if pids := workers(run.pid):
                with suppress(ProcessLookupError):
                    os.kill(random.choice(pids), signal.SIGKILL)
                    n_of_this_run += 1
            seen = rows(folder / "out.h5")
            assert seen.items() <= expected.items(), "a row is wrong"
        output = finished(run)
        assert f"{N_IMAGES} images encoded" in output
        assert "0 already encoded or identical to another image, 1 failed" in output
        check_whole(folder / "out.h5", expected)
        assert not part_paths(folder / "out.h5")
        n_kills += n_of_this_run


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=lambda stop: stop.name)
def test_the_driver_stopped(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], stop: signal.Signals, full: bool
) -> None:
    """If the driver stops, no worker survives, and the local engine can resume the run.

    Two of Ray's agents check once a minute whether their node still exists.
    """
    if stop == signal.SIGINT and not full:
        pytest.skip("each signal takes a minute, and SIGKILL is the harder case: --full")
    images, expected = whole
    for _ in range(10 if full else 1):
        folder = fresh(tmp_path / "x", images)
        run = start_clipfeat(*ON_RAY, cwd=folder)
        while run.poll() is None and not part_paths(folder / "out.h5"):
            time.sleep(0.02)
        others = descendants(run.pid)
        if stop == signal.SIGKILL:
            others = {pid: name for pid, name in others.items() if "Agent" not in name}
        assert len(others) >= 3
        os.killpg(run.pid, stop) if stop == signal.SIGINT else run.send_signal(stop)
        _, errors = run.communicate(timeout=60)
        codes = (-signal.SIGKILL,) if stop == signal.SIGKILL else (130, 0)
        assert run.returncode in codes, errors
        assert running(list(others)) == []
        kept = rows(folder / "out.h5")
        assert kept
        assert kept.items() <= expected.items()
        output = finished(ForkedRun((*EMBED, "-j", 1), folder))
        encoded = re.search(r"^(\d+) images? encoded", output, re.M)
        assert encoded is not None
        assert int(encoded[1]) == N_IMAGES - len(kept), "a committed row was encoded again"
        check_whole(folder / "out.h5", expected)
        left = {path.name for path in folder.iterdir()} - {"images", "out.h5", ".out.h5.stat"}
        assert not left, left


def test_a_node_leaves(tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool) -> None:
    """The unfinished work of a node that leaves is repeated on others, and new nodes are used."""
    if not full:
        pytest.skip("a cluster of its own takes a minute: --full")
    from ray.cluster_utils import Cluster

    images, expected = whole
    small = {"object_store_memory": 2**28}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **small}
    )
    try:
        leaving = cluster.add_node(num_cpus=2, **small)
        folder = fresh(tmp_path / "x", images)
        run = start_clipfeat(*ON_RAY, "--address", cluster.address, cwd=folder)
        while run.poll() is None and not part_paths(folder / "out.h5"):
            time.sleep(0.02)
        cluster.remove_node(leaving, allow_graceful=False)
        cluster.add_node(num_cpus=2, **small)
        output = finished(run)
    finally:
        cluster.shutdown()
    assert output.startswith(f"out.h5: {N_IMAGES} rows"), output
    assert f"{N_IMAGES} images encoded" in output
    check_whole(folder / "out.h5", expected)


def test_a_killed_benchmark_resumes(tmp_path: Path, full: bool) -> None:
    """After a kill, only unfinished cells are fitted again. Results are bit-identical."""
    if not full:
        pytest.skip("two runs on Ray and one without take a minute: --full")
    folder = tmp_path
    for seed, label in enumerate(("fake", "real")):
        make_images(folder / "images" / label, 100, seed)
    finished(start_clipfeat(*EMBED, cwd=folder))
    command = ("benchmark", "out.h5", "--clf", "logreg,rf,svm,knn", "--repeats", 4)
    finished(start_clipfeat(*command, "-o", "plain", cwd=folder))
    cells = folder / "run" / "cells"
    on_ray = (*command, "-o", "run", "--engine", "ray")
    run = start_clipfeat(*on_ray, cwd=folder)
    while run.poll() is None and len(list(cells.glob("*.npz"))) < 5:
        time.sleep(0.02)
    others = {pid: name for pid, name in descendants(run.pid).items() if "Agent" not in name}
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL
    assert running(list(others)) == []
    kept = {path: path.stat().st_mtime_ns for path in cells.glob("*.npz")}
    assert 5 <= len(kept) < 80
    run = start_clipfeat(*on_ray, cwd=folder)
    killed = False
    while run.poll() is None and not killed:
        time.sleep(0.05)
        if len(list(cells.glob("*.npz"))) > len(kept) and (pids := workers(run.pid)):
            os.kill(pids[0], signal.SIGKILL)
            killed = True
    finished(run)
    assert killed
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in kept.items())
    arrays = [np.load(folder / name / "probabilities.npz") for name in ("plain", "run")]
    assert set(arrays[0]) == set(arrays[1])
    for name in arrays[0]:
        assert arrays[0][name].tobytes() == arrays[1][name].tobytes(), name
