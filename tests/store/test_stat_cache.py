"""The cache of content hashes."""

import os
import time
from pathlib import Path

import numpy as np

from clipfeat.store.stat_cache import (
    TRUSTED_AFTER_NS,
    StatCache,
    cache_path,
    load_stats,
    save_stats,
)
from clipfeat.system.file_stats import file_stat


def test_a_file_with_its_old_modification_time_is_read_again(tmp_path: Path) -> None:
    """Programs such as ``touch`` set the modification time back, but not the time of a change."""
    file = tmp_path / "a.png"
    file.write_bytes(b"old")
    os.utime(file, (1_600_000_000, 1_600_000_000))
    stat = file_stat(str(file))
    assert stat is not None
    save_stats(tmp_path / "out.h5", {"a.png": (stat, bytes(16))})
    entries = load_stats(tmp_path / "out.h5").entries
    trusted = StatCache(entries, time.time_ns() + 2 * TRUSTED_AFTER_NS)
    assert trusted.key("a.png", file_stat(str(file))) == bytes(16)
    time.sleep(0.02)  # the clock of the file system may be coarse
    with file.open("r+b") as opened:  # in place, so that the size and the inode stay
        opened.write(b"new")
    os.utime(file, (1_600_000_000, 1_600_000_000))
    assert trusted.key("a.png", file_stat(str(file))) is None


def test_a_damaged_cache_is_empty(tmp_path: Path) -> None:
    """Unknown compression, damaged streams, other types and many compressed paths are ignored."""
    file = tmp_path / "out.h5"
    save_stats(file, {"a.png": ((1, 2, 3, 4), bytes(16))})
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
        assert load_stats(file) == StatCache({}, 0)
    packed = (tmp_path / "x.npz").read_bytes()
    at = packed.index(b"PK\1\2") + 10
    stream = packed.index(b"paths.npy") + 40
    for damaged in (
        packed[:at] + b"\x63\0" + packed[at + 2 :],
        packed[:stream] + b"\xff" * 20 + packed[stream + 20 :],
    ):
        cache_path(file).write_bytes(damaged)
        assert load_stats(file) == StatCache({}, 0)
