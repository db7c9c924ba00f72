"""Tests of the maps."""

import os
import subprocess
import sys
from concurrent.futures import CancelledError
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from clipfeat.browsing import projection
from clipfeat.browsing.background import Background
from clipfeat.browsing.file_cache import FileCache
from clipfeat.browsing.projection import pca_points, umap_points
from clipfeat.errors import ClipfeatError, DataError


def directions(n: int = 300, n_features: int = 20) -> np.ndarray:
    """Make vectors near two directions, with very different lengths."""
    rng = np.random.default_rng(0)
    X = rng.normal(scale=0.05, size=(n, n_features))
    X[: n // 2, 0] += 1
    X[n // 2 :, 1] += 1
    return (X * rng.uniform(0.1, 10, size=(n, 1))).astype(np.float32)


def test_the_first_axis_separates_two_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first axis separates them, whatever the lengths and the sampled rows."""
    X = directions()
    one, other = np.split(pca_points(X)[:, 0].astype(int), 2)
    assert one.max() < other.min() or other.max() < one.min()
    monkeypatch.setattr(projection, "N_SAMPLED", 60)
    monkeypatch.setattr(projection, "BLOCK", 64)
    one, other = np.split(pca_points(X)[:, 0].astype(int), 2)
    assert one.max() < other.min() or other.max() < one.min()


@pytest.mark.parametrize("shape", [(5, 1), (3, 2), (5, 3)])
def test_small_sets_have_a_map(shape: tuple[int, int]) -> None:
    """Features with one column give a line. Equal rows give one point."""
    X = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert pca_points(X).shape == (shape[0], 2)
    assert len(np.unique(pca_points(np.ones(shape, dtype=np.float32)), axis=0)) == 1


def test_a_failure_is_reported_once() -> None:
    """A failure is reported by one request. The next request computes the map again."""
    background = Background()
    failed = background.request("map", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failed.result(30)
    with pytest.raises(ZeroDivisionError):
        background.request("map", lambda: 1).result(30)
    assert background.request("map", lambda: 1).result(30) == 1


def test_forgotten_computations_do_not_pile_up() -> None:
    """If several maps were requested, only the running one and the last one are computed."""
    background, release, started = Background(), Event(), Event()
    computed: list[int] = []

    def compute(number: int) -> int:
        computed.append(number)
        started.set()
        assert release.wait(30)
        return number

    first = background.request("list", lambda: compute(0))
    assert started.wait(30)
    later = []
    for number in (1, 2, 3):
        background.forget("list")
        later.append(background.request("list", lambda number=number: compute(number)))
    release.set()
    assert (first.result(30), later[-1].result(30)) == (0, 3)
    assert computed == [0, 3]
    for one in later[:-1]:
        with pytest.raises(CancelledError):
            one.result(30)


def test_two_images_have_no_map() -> None:
    """The error for too few images states the minimum."""
    with pytest.raises(DataError, match="needs 3 or more images"):
        pca_points(np.ones((2, 4), dtype=np.float32))


def test_umap_runs_in_a_process_and_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call reads the cached file. A damaged cache is computed again."""
    monkeypatch.setattr(projection, "UMAP_MODULE", "tests.browsing.fake_umap")
    X = directions(40)
    maps = FileCache(tmp_path / "maps", trim_after=1)
    points = umap_points(X, maps)
    (kept,) = (file for file in (tmp_path / "maps").rglob("*") if file.is_file())
    whole = kept.read_bytes()
    huge = whole.replace(b"(40, 2), }" + 9 * b" ", b"(9999999999, 2), }")
    assert len(huge) == len(whole) - 1
    not_finite = whole[:-4] + np.float32(np.nan).tobytes()
    for damaged in (b"damaged", b"", huge, huge + b" ", not_finite):
        kept.write_bytes(damaged)
        assert (umap_points(X, maps) == points).all()
    monkeypatch.setattr(projection, "UMAP_MODULE", "tests.no_such_module")
    assert (umap_points(X, maps) == points).all()


def test_the_maps_on_the_disk_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest maps are deleted, and maps of an earlier version count too."""
    monkeypatch.setattr(projection, "UMAP_MODULE", "tests.browsing.fake_umap")
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "old.npy").write_bytes(bytes(2_000))
    os.utime(tmp_path / "maps" / "old.npy", (1, 1))
    maps = FileCache(tmp_path / "maps", max_bytes=2_000, trim_after=1)
    for n in (40, 41, 42, 43):
        umap_points(directions(n), maps)
    kept = [file for file in (tmp_path / "maps").rglob("*") if file.is_file()]
    assert 1 <= len(kept) <= 4
    assert sum(file.stat().st_size for file in kept) <= 2_000
    assert not (tmp_path / "maps" / "old.npy").exists()


def test_a_failure_of_umap_names_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message contains the last line that the UMAP process printed."""
    monkeypatch.setattr(projection, "UMAP_MODULE", "tests.browsing.fake_umap")
    with pytest.raises(ClipfeatError, match="UMAP failed: thirteen rows"):
        umap_points(directions(13))


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    """The process ends when its standard input closes, even while UMAP computes."""
    (tmp_path / "umap.py").write_text("import time\ntime.sleep(600)\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-m", projection.UMAP_MODULE, "in.npy", "out.npy"],
        stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path}, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
