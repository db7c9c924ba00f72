"""Tests of the folder to which a table's paths are relative, and of names without a suffix."""

import unicodedata
from pathlib import Path

import pytest

from clipfeat.errors import DataError, UsageError
from clipfeat.images import open_source
from clipfeat.images.image_root import root_of_table


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a table of ids whose images are in another folder."""
    (tmp_path / "train").mkdir()
    for name in ("0001.jpg", "a.b.PNG", "0002.png"):
        (tmp_path / "train" / name).write_bytes(name.encode())
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "train.csv"
    path.write_text("id,label\n0001,0\na.b,1\n0002.png,1\n0003,0\n")
    monkeypatch.chdir(tmp_path)
    return path


def test_ids_are_found_below_the_image_root(table: Path) -> None:
    """An id refers to the file with any suffix. A missing file stays a record."""
    source = open_source(str(table), image_root="train")
    assert source.root == str(table.parents[1] / "train")
    assert [r.path for r in source] == ["0001.jpg", "a.b.PNG", "0002.png", "0003"]
    assert source.records[1].reader.read() == b"a.b.PNG"


def test_an_id_of_two_files_is_an_error(table: Path) -> None:
    """An id that two files match is an error."""
    Path("train/0001.png").touch()
    with pytest.raises(DataError, match=r"stands for several files .*: 0001\.jpg, 0001\.png"):
        open_source(str(table), image_root="train")


def test_paths_are_relative_to_the_table_or_to_the_working_folder(table: Path) -> None:
    """The table's folder is tried before the current directory."""
    table.write_text("path\ntrain/0001.jpg\n")
    assert open_source(str(table)).root == str(Path.cwd())
    (table.parent / "train").mkdir()
    (table.parent / "train" / "0001.jpg").touch()
    assert open_source(str(table)).root == str(table.parent)


def test_the_image_root_is_a_folder_and_the_source_a_table(table: Path) -> None:
    """A root that is not a folder, or a source that is not a table, is an error."""
    with pytest.raises(UsageError, match="none is not a folder"):
        open_source(str(table), image_root="none")
    with pytest.raises(UsageError, match="but train is a folder"):
        open_source("train", image_root="train")


def test_another_normal_form(tmp_path: Path) -> None:
    """Accents in a table match, even if the file system uses another Unicode form."""
    file = tmp_path / unicodedata.normalize("NFD", "caf\u00e9.png")
    file.write_bytes(b"x")
    for name in ("caf\u00e9.png", "caf\u00e9"):
        root = root_of_table(str(tmp_path / "t.csv"), [name])
        assert root.find(name) == file.name
