"""Tests of output paths of feature files."""

from pathlib import Path

import pytest

from clipfeat.errors import StorageError, UsageError
from clipfeat.store import FeatureWriter, load
from clipfeat.store.target import MAX_NAME, check_target
from tests.conftest import make_spec
from tests.store.test_store import row, values

SPEC = make_spec(n_features=3)


def test_a_link_is_followed_for_parts_and_for_the_file(tmp_path: Path) -> None:
    """If the output is a link, parts, lock and snapshot are written beside the link's target."""
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "out.h5", tmp_path / "disk" / "out.h5"
    link.symlink_to(target)
    for number in (1, 2):
        with FeatureWriter(check_target(link), SPEC) as writer:
            writer.append([row(f"{number}.png", number)], values(number))
            writer.commit()
            assert [path.name for path in tmp_path.iterdir() if path != link] == ["disk"]
            assert len(load(link)) == number  # of parts
            writer.finish()
        assert link.is_symlink()
        target.chmod(0o640)
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    """A read-only output is an error before any image is encoded."""
    path = tmp_path / "out.h5"
    path.touch(mode=0o444)
    with pytest.raises(StorageError, match=r"out\.h5 is read-only\. Make it writable"):
        check_target(path)


def test_a_name_that_is_too_long_for_its_lock_is_refused(tmp_path: Path) -> None:
    """The longest accepted name works.

    The error for a longer name does not repeat it.
    """
    longest = "n" * (MAX_NAME - 3) + ".h5"
    with FeatureWriter(check_target(tmp_path / longest), SPEC, overwrite=True) as writer:
        writer.append([row("a.png", 1)], values(1))
        writer.finish()
    with pytest.raises(UsageError, match=r"the name n{20}… has 221 bytes"):
        check_target(tmp_path / f"n{longest}")
