"""Tests that hostile feature files are refused."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.store import FeatureWriter, load, verify
from clipfeat.store.exporting import export
from tests.conftest import make_spec
from tests.store.test_store import filled, row, values


def external_link(h5: h5py.File, trap: Path) -> None:
    del h5["keys"]
    h5["keys"] = h5py.ExternalLink(str(trap), "/keys")


def soft_link(h5: h5py.File, trap: Path) -> None:
    del h5["keys"]
    h5["keys"] = h5py.SoftLink("/paths")


def linked_group(h5: h5py.File, trap: Path) -> None:
    del h5["failures"]
    h5["failures"] = h5py.ExternalLink(str(trap), "/failures")


def external_storage(h5: h5py.File, trap: Path) -> None:
    shape = h5["features"].shape
    del h5["features"]
    h5.create_dataset("features", shape, "f4", external=[(str(trap), 0, h5py.h5f.UNLIMITED)])


def virtual(h5: h5py.File, trap: Path) -> None:
    shape = h5["features"].shape
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource(str(trap), "x", shape)
    del h5["features"]
    h5.create_virtual_dataset("features", layout)


def growing_virtual(h5: h5py.File, trap: Path) -> None:
    layout = h5py.VirtualLayout((2, 3), "f4", maxshape=(None, 3))
    source = h5py.VirtualSource(str(trap), "x", (2, 3), maxshape=(None, 3))
    layout[: h5py.h5s.UNLIMITED, :] = source[: h5py.h5s.UNLIMITED, :]
    del h5["features"]
    h5.create_virtual_dataset("features", layout)


def bomb(h5: h5py.File, trap: Path) -> None:
    del h5["features"]
    h5.create_dataset("features", (10**9, 3), "f4", chunks=(10**6, 3), compression="gzip")


def absurd_shape(h5: h5py.File, trap: Path) -> None:
    del h5["features"]
    h5.create_dataset("features", (10**12, 3), "f4")


def long_text(h5: h5py.File, trap: Path) -> None:
    del h5["paths"]
    h5.create_dataset("paths", (2,), h5py.string_dtype())


def wide_text(h5: h5py.File, trap: Path) -> None:
    del h5["paths"]
    h5.create_dataset("paths", (2,), "S10000000")


def objects(h5: h5py.File, trap: Path) -> None:
    del h5["labels"]
    h5.create_dataset("labels", (2,), h5py.ref_dtype)


def compound(h5: h5py.File, trap: Path) -> None:
    del h5["labels"]
    h5.create_dataset("labels", (2,), np.dtype([("a", "i4")]))


def a_group(h5: h5py.File, trap: Path) -> None:
    del h5["labels"]
    h5.create_group("labels")


def long_attribute(h5: h5py.File, trap: Path) -> None:
    h5.attrs["encoder"] = "x" * 100


def array_attribute(h5: h5py.File, trap: Path) -> None:
    h5.attrs["complete"] = np.array([1, 2])


def array_checksum(h5: h5py.File, trap: Path) -> None:
    h5["paths"].attrs["crc32"] = np.array([1, 2], "u4")


def infinite_version(h5: h5py.File, trap: Path) -> None:
    h5.attrs["version"] = np.inf


def shared_bytes(h5: h5py.File, trap: Path) -> None:
    for number in range(2):
        h5[f"columns/{number}"] = h5["paths"]


KINDS = (
    external_link, soft_link, linked_group, external_storage, virtual, growing_virtual, bomb,
    absurd_shape, long_text, wide_text, objects, compound, a_group, long_attribute,
    array_attribute, array_checksum, infinite_version, shared_bytes,
)  # fmt: skip


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_refused_before_anything_foreign_is_read(
    tmp_path: Path, make: Callable[[h5py.File, Path], None]
) -> None:
    """Each file is refused within a second and 100 MB. Links to a FIFO do not block."""
    path = filled(tmp_path / "hostile.h5")
    trap = tmp_path / "trap.h5"
    os.mkfifo(trap)
    with h5py.File(path, "a") as h5:
        make(h5, trap)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedFileError, match=r"hostile\.h5"):
        load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def append(path: Path) -> None:
    with FeatureWriter(path, make_spec(n_features=3)) as writer:
        writer.append([row("more", 7, "cat")], values(7))
        writer.finish()


@pytest.mark.parametrize("read", [append, verify, lambda path: export(path, path.parent / "x.npz")])
@pytest.mark.parametrize(
    "make", [external_link, linked_group, external_storage, virtual, growing_virtual]
)
def test_links_to_other_files_are_not_followed(
    tmp_path: Path, make: Callable[[h5py.File, Path], None], read: Callable[[Path], object]
) -> None:
    """No other file is read or written through a link, even when rows are added."""
    path = filled(tmp_path / "hostile.h5")
    trap = filled(tmp_path / "trap.h5")
    content = trap.read_bytes()
    with h5py.File(path, "a") as h5:
        make(h5, trap)
    with pytest.raises(RefusedFileError, match=r"hostile\.h5"):
        read(path)
    assert trap.read_bytes() == content
    assert not (tmp_path / "x.npz").exists()


def test_a_fifo_is_no_feature_file(tmp_path: Path) -> None:
    """A FIFO is refused without blocking."""
    os.mkfifo(tmp_path / "x.h5")
    code = (
        "import sys; from clipfeat.store import load; from clipfeat.errors import *\n"
        "try: load(sys.argv[1])\nexcept RefusedFileError as e: print(e)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.h5"],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert "not a regular file" in run.stdout
