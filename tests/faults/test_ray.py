"""`clipfeat embed` and `benchmark` on Ray with killed workers, drivers and nodes."""

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
from tests.faults.test_kills import check_whole, rows

pytest.importorskip("ray")

N_IMAGES = 400
EMBED = ("embed", "images", "out.h5", "--encoder", "spectrum", "-b", 4, "--device", "cpu")
ON_RAY = (*EMBED, "--engine", "ray")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The images, one of them bad, and the rows of a local run."""
    folder = tmp_path_factory.mktemp("whole")
    make_images(folder / "images", N_IMAGES)
    (folder / "images" / "0100-bad.png").write_text("text")
    run = start_clipfeat(*EMBED, cwd=folder)
    run.communicate(timeout=120)
    assert run.returncode == 0
    return folder / "images", rows(folder / "out.h5")


def fresh(folder: Path, images: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "images").symlink_to(images)
    return folder


def below(pid: int) -> dict[int, str]:
    """Return the descendants of a process with their names."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                names[int(entry.name)] = command.decode(errors="replace")
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: names.get(one, "") for one in found - {pid}}


def workers(pid: int) -> list[int]:
    """Return Ray's worker processes, without its agents.

    Idle workers are left out: if the first worker dies before the driver has connected, the driver
    of Ray 2.60 waits forever.
    """
    return [
        one
        for one, name in below(pid).items()
        if name.startswith("ray::") and not name.startswith("ray::IDLE")
        if "Agent" not in name.partition(" ")[0]
    ]


def running(pids: list[int], seconds: float = 30.0) -> list[str]:
    """Return the processes that do not end within the time limit."""
    until = time.monotonic() + seconds
    while left := [pid for pid in pids if _lives(pid)]:
        if time.monotonic() > until:
            return [Path(f"/proc/{pid}/cmdline").read_text() for pid in left]
        time.sleep(0.1)
    return []


def _lives(pid: int) -> bool:
    """Return whether a process is running and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def finished(run: "subprocess.Popen[str]") -> str:
    told, said = run.communicate(timeout=400)
    assert run.returncode == 0, said
    return told


def test_workers_killed_at_random(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool
) -> None:
    """If any workers die, no row is lost or repeated, and only the bad image fails."""
    images, expected = whole
    random.seed(0)
    kills, wanted = 0, 100 if full else 5
    while kills < wanted:
        folder = fresh(tmp_path / "x", images)
        run = start_clipfeat(*ON_RAY, cwd=folder)
        of_this_run = 0
        while run.poll() is None and of_this_run < 5:
            time.sleep(random.uniform(0.2, 1.5))
            if found := workers(run.pid):
                with suppress(ProcessLookupError):
                    os.kill(random.choice(found), signal.SIGKILL)
                    of_this_run += 1
            seen = rows(folder / "out.h5")
            assert seen.items() <= expected.items(), "a row is wrong"
        told = finished(run)
        assert f"{N_IMAGES} images encoded" in told
        assert "0 already present or identical to another, 1 failed" in told
        check_whole(folder / "out.h5", expected)
        assert not part_paths(folder / "out.h5")
        kills += of_this_run


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=lambda how: how.name)
def test_the_driver_stopped(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], how: signal.Signals, full: bool
) -> None:
    """A killed driver leaves no worker and loses no row, and a local run resumes the job.

    Two agents of Ray check only once a minute whether their node is alive.
    """
    if how == signal.SIGINT and not full:
        pytest.skip("the kill is the harder case, and either takes a minute: --full")
    images, expected = whole
    for _ in range(10 if full else 1):
        folder = fresh(tmp_path / "x", images)
        run = start_clipfeat(*ON_RAY, cwd=folder)
        while run.poll() is None and not part_paths(folder / "out.h5"):
            time.sleep(0.02)
        others = below(run.pid)
        if how == signal.SIGKILL:
            others = {pid: name for pid, name in others.items() if "Agent" not in name}
        assert len(others) >= 3
        os.killpg(run.pid, how) if how == signal.SIGINT else run.send_signal(how)
        _, said = run.communicate(timeout=60)
        assert run.returncode in ((-signal.SIGKILL,) if how == signal.SIGKILL else (130, 0)), said
        assert running(list(others)) == []
        kept = rows(folder / "out.h5")
        assert kept
        assert kept.items() <= expected.items()
        told = finished(start_clipfeat(*EMBED, "-j", 1, cwd=folder))
        encoded = re.search(r"^(\d+) images encoded", told, re.M)
        assert encoded is not None
        assert int(encoded[1]) == N_IMAGES - len(kept), "a committed row was encoded again"
        check_whole(folder / "out.h5", expected)
        left = {path.name for path in folder.iterdir()} - {"images", "out.h5", ".out.h5.stat"}
        assert not left, left


def test_a_node_leaves(tmp_path: Path, whole: tuple[Path, dict[str, bytes]], full: bool) -> None:
    """The work of a lost node is repeated elsewhere, and a new node is used."""
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
        told = finished(run)
    finally:
        cluster.shutdown()
    assert told.startswith(f"out.h5: {N_IMAGES} rows"), told
    assert f"{N_IMAGES} images encoded" in told
    check_whole(folder / "out.h5", expected)


def test_a_benchmark_killed_goes_on(tmp_path: Path, full: bool) -> None:
    """A benchmark gives equal results after its driver or a worker was killed."""
    if not full:
        pytest.skip("two runs on Ray and one without take a minute: --full")
    folder = tmp_path
    for seed, label in enumerate(("fake", "real")):
        make_images(folder / "images" / label, 100, seed)
    finished(start_clipfeat(*EMBED, cwd=folder))
    asked = ("benchmark", "out.h5", "--clf", "logreg,rf,svm,knn", "--repeats", 4)
    finished(start_clipfeat(*asked, "-o", "plain", cwd=folder))
    cells = folder / "run" / "cells"
    on_ray = (*asked, "-o", "run", "--engine", "ray")
    run = start_clipfeat(*on_ray, cwd=folder)
    while run.poll() is None and len(list(cells.glob("*.npz"))) < 5:
        time.sleep(0.02)
    others = {pid: name for pid, name in below(run.pid).items() if "Agent" not in name}
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL
    assert running(list(others)) == []
    kept = {path: path.stat().st_mtime_ns for path in cells.glob("*.npz")}
    assert 5 <= len(kept) < 80
    run = start_clipfeat(*on_ray, cwd=folder)
    killed = 0
    while run.poll() is None and not killed:
        time.sleep(0.05)
        if len(list(cells.glob("*.npz"))) > len(kept) and (found := workers(run.pid)):
            os.kill(found[0], signal.SIGKILL)
            killed += 1
    finished(run)
    assert killed
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    arrays = [np.load(folder / name / "probabilities.npz") for name in ("plain", "run")]
    assert set(arrays[0]) == set(arrays[1])
    for name in arrays[0]:
        assert arrays[0][name].tobytes() == arrays[1][name].tobytes(), name
