"""Tests of the cache of content hashes."""

import os
import time
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfeat.store import stat_cache
from clipfeat.store.stat_cache import (
    TRUSTED_AFTER_NS,
    StatRuns,
    cache_path,
    load_stats,
    make_stats,
    save_stats,
)
from clipfeat.system.file_stats import file_stat
from clipfeat.system.locations import location


def test_a_file_with_its_old_modification_time_is_read_again(tmp_path: Path) -> None:
    """A changed file is detected, even if its modification time is set back."""
    file = tmp_path / "a.png"
    file.write_bytes(b"old")
    os.utime(file, (1_600_000_000, 1_600_000_000))
    stat = file_stat(str(file))
    assert stat is not None
    save_stats(tmp_path / "out.h5", lambda: [("a.png", stat, bytes(16))])
    later = time.time_ns() + 2 * TRUSTED_AFTER_NS
    trusted = replace(load_stats(tmp_path / "out.h5"), written_ns=later)
    assert trusted.keys_of(["a.png", "b.png"], [stat, stat]) == [bytes(16), None]
    time.sleep(0.02)  # the clock of the file system may be coarse
    with file.open("r+b") as opened:  # in place, so that the size and the inode stay
        opened.write(b"new")
    os.utime(file, (1_600_000_000, 1_600_000_000))
    assert trusted.keys_of(["a.png"], [file_stat(str(file))]) == [None]


def test_the_cache_of_a_remote_feature_file() -> None:
    """The cache is written to and read from the object store."""
    out = location(f"memory://{uuid.uuid4().hex}/out.h5")
    assert not len(load_stats(out))
    save_stats(out, lambda: [("a.png", (1, 2, 3, 4), bytes(16))])
    assert load_stats(out).keys_of(["a.png"], [(1, 2, 3, 4)]) == [bytes(16)]


def test_a_damaged_cache_is_empty(tmp_path: Path) -> None:
    """A damaged, invalid or oversized cache is ignored."""
    file = tmp_path / "out.h5"
    save_stats(file, lambda: [("a.png", (1, 2, 3, 4), bytes(16))])
    assert len(load_stats(file)) == 1
    with np.load(cache_path(file)) as saved:
        arrays = dict(saved)
    n = 100_000
    many = {
        "paths": np.zeros(n, "S1"),
        "stats": np.zeros((n, 4), int),
        "keys": np.zeros(16 * n, "u1"),
    }
    for changed in ({"paths": np.arange(1)}, {"stats": np.int64(1)}, many):
        np.savez_compressed(tmp_path / "x.npz", **(arrays | changed))
        cache_path(file).write_bytes((tmp_path / "x.npz").read_bytes())
        assert not len(load_stats(file))
    packed = (tmp_path / "x.npz").read_bytes()
    at = packed.index(b"PK\1\2") + 10
    stream = packed.index(b"paths.npy") + 40
    for damaged in (
        packed[:at] + b"\x63\0" + packed[at + 2 :],
        packed[:stream] + b"\xff" * 20 + packed[stream + 20 :],
    ):
        cache_path(file).write_bytes(damaged)
        assert not len(load_stats(file))


def test_a_large_cache_is_written_and_searched_in_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every path is found in any chunk. Changed times are not trusted."""
    monkeypatch.setattr(stat_cache, "CHUNK_ROWS", 7)
    entries = [("x" * i + ".png", (i, 1, 2, 3), i.to_bytes(16)) for i in range(50)]
    save_stats(tmp_path / "out.h5", lambda: iter(entries))
    cache, paths = load_stats(tmp_path / "out.h5"), [path for path, _, _ in entries]
    assert cache.keys_of(paths, [stat for _, stat, _ in entries]) == [k for _, _, k in entries]
    assert cache.keys_of(paths, [None, *[(i, 1, 9, 3) for i in range(49)]]) == [None] * 50
    assert make_stats(entries, 4).keys_of(paths[:1], [(0, 1, 2, 3)]) == [None]


def test_adjacent_images_share_a_status() -> None:
    """Members of an archive share one status in memory, and keep their order."""
    stats = [None, (1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 2**64 - 1, 4), (5, 6, 7, 8), (1, 2, 3, 4)]
    runs = StatRuns()
    for stat in stats:
        runs.append(stat)
    assert list(runs) == [*stats[:3], None, *stats[4:]]
    assert len(runs._ends) == 5
