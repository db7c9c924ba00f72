"""Tests of atomic writes, and of hostile archives of arrays."""

import zipfile
from pathlib import Path

import pytest

from clipfeat.errors import OutputExistsError, RefusedFileError, StorageError
from clipfeat.system.files import check_links, publish, read_arrays, replacing_contents


def test_a_link_is_followed_and_the_mode_is_kept(tmp_path: Path) -> None:
    """A link stays a link, even if its target does not exist yet."""
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "out.csv", tmp_path / "real" / "target.csv"
    link.symlink_to(target)
    publish(b"one", link)
    target.chmod(0o640)
    publish(b"two", link)
    assert link.readlink() == target
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"two", 0o640)
    assert [path.name for path in target.parent.iterdir()] == ["target.csv"]


def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    """A read-only file is not replaced, although its folder is writable."""
    path = tmp_path / "out.csv"
    path.write_bytes(b"precious")
    path.chmod(0o444)
    with pytest.raises(StorageError, match="is read-only"):
        publish(b"new", path)
    assert path.read_bytes() == b"precious"
    with pytest.raises(StorageError, match="is not a regular file"):
        publish(b"new", Path("/dev/null"))


def test_contents_of_a_folder_are_replaced_together(tmp_path: Path) -> None:
    """Other files are kept, and leftovers of a killed writer are removed."""
    (tmp_path / ".new-killed").mkdir()
    for name in ("last", "plots/old.png", "other"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    with pytest.raises(LookupError), replacing_contents(tmp_path, "last") as new:
        (new / "last").write_text("new")
        raise LookupError
    assert (tmp_path / "last").read_text() == "old"
    with replacing_contents(tmp_path, "last") as new:
        (new / "plots").mkdir()
        for name in ("last", "plots/new.png"):
            (new / name).write_text("new")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"last", "plots/new.png", "other"}
    assert (tmp_path / "last").read_text() == "new"


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """Archives that claim too large a size are refused before unpacking."""
    file = tmp_path / "x.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(2**28 + 1))
    with pytest.raises(RefusedFileError, match="would unpack to 268435457 bytes"):
        read_arrays(file)


def test_links_in_a_folder_of_outputs_must_stay_inside(tmp_path: Path) -> None:
    """A link that leads out of an output folder is an error."""
    folder, outside = tmp_path / "run", tmp_path / "outside.txt"
    check_links(folder)
    for name in ("plots", "other"):
        (folder / name).mkdir(parents=True)
    (folder / "own.txt").write_text("x")
    (folder / "inside.txt").symlink_to("own.txt")
    (folder / "data").symlink_to(tmp_path)
    (folder / "other" / "a.txt").symlink_to(outside)
    check_links(folder, ["plots"])
    for path in (folder / "summary.md", folder / "plots" / "a.svg", folder / "loop"):
        path.symlink_to(outside if path.stem != "loop" else "../loop2")
        with pytest.raises(OutputExistsError, match=f"{path.name} is a link that leads outside"):
            check_links(folder, ["plots"])
        path.unlink()
    (folder / "audit").symlink_to(tmp_path)
    with pytest.raises(OutputExistsError, match="audit is a link"):
        check_links(folder, ["audit"])
    (folder / "audit").unlink()
    (folder / "summary.md").symlink_to("plots")
    with pytest.raises(OutputExistsError, match=r"summary\.md is a folder with the name of an out"):
        check_links(folder)
    (folder / "plots" / "a.svg").mkdir()
    (folder / "summary.md").unlink()
    check_links(folder)
    with pytest.raises(OutputExistsError, match=r"a\.svg is a folder with the name of an out"):
        check_links(folder, ["plots"])
    (folder / "run.json").mkdir()
    with (
        pytest.raises(StorageError, match=r"run\.json is not a regular file"),
        replacing_contents(folder, "run.json"),
    ):
        pass
