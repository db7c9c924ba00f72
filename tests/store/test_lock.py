"""Tests of the lock file of a feature file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clipfeat.errors import StorageError
from clipfeat.store import FeatureWriter
from clipfeat.store.lock import check_unlocked, lock_path
from tests.conftest import make_spec

PLANTED: dict[str, Callable[[Path, Path], None]] = {
    "symbolic link": lambda victim, lock: lock.symlink_to(victim),
    "dangling link": lambda victim, lock: lock.symlink_to(victim.with_name("new.txt")),
    "hard link": lambda victim, lock: lock.hardlink_to(victim),
    "pipe": lambda victim, lock: os.mkfifo(lock),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_lock_file_that_leads_elsewhere_is_refused(
    plant: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    """A lock file that is a link or a pipe is refused, and no other file is changed."""
    victim, target = tmp_path / "victim.txt", tmp_path / "out.h5"
    victim.write_text("precious")
    plant(victim, lock_path(target))
    with pytest.raises(StorageError, match=r"is a link, pipe or device.*Remove it"):
        check_unlocked(target)
    assert victim.read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"victim.txt", lock_path(target).name}


def test_a_lock_file_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    """A leftover lock file is reused and removed at the end."""
    lock = lock_path(tmp_path / "out.h5")
    lock.write_bytes(b"process \xff\xfe of another time\n")
    check_unlocked(tmp_path / "out.h5")
    assert not lock.exists()


@pytest.mark.parametrize(
    "name",
    ["out.h5.parts", "out.h5.shards", ".out.h5.new.parts", ".out.h5.new.shards", ".out.h5.new",
     ".out.h5.stat"],
)  # fmt: skip
@pytest.mark.parametrize("overwrite", [False, True])
def test_links_beside_a_feature_file_are_refused(
    name: str, overwrite: bool, tmp_path: Path
) -> None:
    """Files that a link in an unpacked archive leads to are neither replaced nor deleted."""
    victim = tmp_path / "victim"
    (victim / ".work.tmp").mkdir(parents=True)
    for file in ("precious.h5", ".notes.tmp", ".work.tmp/file"):
        (victim / file).write_text("precious")
    before = {path: path.is_file() and path.read_text() for path in victim.rglob("*")}
    target = tmp_path / "data" / "out.h5"
    target.parent.mkdir()
    is_folder = name.endswith((".parts", ".shards"))
    (target.parent / name).symlink_to(victim if is_folder else victim / "precious.h5")
    with pytest.raises(StorageError, match=rf"{name} is a link.*Remove the link"):
        FeatureWriter(target, make_spec(), overwrite=overwrite)
    assert {path: path.is_file() and path.read_text() for path in victim.rglob("*")} == before
