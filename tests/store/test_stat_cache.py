"""The cache of content hashes."""

import os
import time
from pathlib import Path

from clipfeat.store.stat_cache import TRUSTED_AFTER_NS, StatCache, load_stats, save_stats
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
