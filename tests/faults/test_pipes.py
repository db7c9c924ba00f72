"""Tests that files read at once must be regular and of limited size."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clipfeat.embedding.views import read_views
from clipfeat.errors import ClipfeatError, RefusedFileError
from clipfeat.images.parquet_cells import ParquetShard
from clipfeat.prediction.submission import Template
from clipfeat.system.files import read_arrays, read_regular

READERS: dict[str, Callable[[Path], object]] = {
    "x.yaml": lambda path: read_views(str(path)),
    "x.csv": Template,
    "x.parquet": lambda path: ParquetShard(str(path)),
    "x.npz": read_arrays,
}


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
@pytest.mark.parametrize("target", ["pipe", "/dev/zero"])
@pytest.mark.parametrize("name", READERS)
def test_pipes_and_devices_are_errors(name: str, target: str, tmp_path: Path) -> None:
    """Pipes, which could block, and devices, which could fill the memory, are errors."""
    if target == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to(target)
    signal.alarm(10)
    try:
        with pytest.raises(ClipfeatError, match="not a regular file"):
            READERS[name](tmp_path / name)
    finally:
        signal.alarm(0)


def test_a_folder_is_not_read(tmp_path: Path) -> None:
    """The error names the folder, and no descriptor is left open."""
    unused = os.dup(0)
    os.close(unused)
    with pytest.raises(RefusedFileError, match="is not a regular file"):
        read_regular(tmp_path)
    again = os.dup(0)
    os.close(again)
    assert again == unused


def test_large_files_are_not_read(tmp_path: Path) -> None:
    """A file above the size limit is refused before it is read."""
    with (tmp_path / "x").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(RefusedFileError, match="has 1099511627776 bytes, more than the limit"):
        read_regular(tmp_path / "x")
