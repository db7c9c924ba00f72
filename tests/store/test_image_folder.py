"""Tests of the folder from which pages show images: given by the user, or recorded by own files."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from clipfeat.auditing.run_images import thumbnail_reader
from clipfeat.embedding.pipeline import embed
from clipfeat.errors import UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.prediction.explaining import explain, save_explanations
from clipfeat.store import FeatureWriter, Row, load
from clipfeat.store.image_folder import image_folder as folder_of
from clipfeat.system import own_files
from tests.conftest import make_spec
from tests.store.test_store import values


def foreign_file(path: Path, root: Path) -> Path:
    """Write a feature file that names a folder whose images this user did not embed."""
    with FeatureWriter(path, make_spec(n_features=3), root=str(root)) as writer:
        writer.append([Row("real/real-00.png", bytes(16), "real")], values(1))
        writer.finish()
    return path


def test_the_folder_of_an_own_file(image_folder: Path, tmp_path: Path) -> None:
    own = embed(image_folder, tmp_path / "own.h5", encoder="spectrum").path
    assert folder_of(own) == str(image_folder)
    assert set(thumbnail_reader([own])(["real/real-00.png"])) == {"real/real-00.png"}


def test_the_folder_of_a_file_from_elsewhere(image_folder: Path, tmp_path: Path) -> None:
    """The folder of a downloaded file is used only if the user gives it."""
    paths = ["real/real-00.png"]
    file = foreign_file(tmp_path / "foreign.h5", image_folder)
    assert folder_of(file) == ""
    assert thumbnail_reader([file])(paths) == {}
    assert set(thumbnail_reader([file], [image_folder])(paths)) == set(paths)
    with pytest.raises(UsageError, match="--images nowhere is not a folder"):
        thumbnail_reader([file], ["nowhere"])


def test_a_file_from_elsewhere_stays_foreign(image_folder: Path, tmp_path: Path) -> None:
    """Neither replacing an own file by it nor adding rows makes its folder trusted."""
    own = embed(image_folder, tmp_path / "own.h5", encoder="spectrum").path
    shutil.copy(foreign_file(tmp_path / "foreign.h5", tmp_path), own)
    assert folder_of(own) == ""
    copied = shutil.copy(embed(image_folder, tmp_path / "b.h5", encoder="spectrum").path, own)
    moved = shutil.copy(copied, tmp_path / "elsewhere.h5")
    embed(image_folder, moved, encoder="spectrum")
    assert folder_of(moved) == ""


def test_the_page_of_explain(image_folder: Path, tmp_path: Path) -> None:
    """The page shows the explained image, and training images of a trusted folder."""
    own = embed(image_folder, tmp_path / "own.h5", encoder="spectrum").path
    known = load(own)
    image = image_folder / "real" / "real-00.png"
    explained = explain(fit(known, "logreg", cv=0), image.parent, known, n_neighbours=2)[:1]
    moved = shutil.copy(own, tmp_path / "moved.h5")
    page = tmp_path / "x.html"
    for file, images, n in ((own, None, 3), (moved, None, 1), (moved, image_folder, 3)):
        save_explanations(explained, page, file, images)
        assert page.read_text().count("data:image/png") == n
    (tmp_path / "link.png").symlink_to(image)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "link.png").symlink_to(image)
    linked = [replace(one, root=str(tmp_path / "sub"), path="link.png") for one in explained]
    save_explanations(linked, page, moved)
    assert page.read_text().count("data:image/png") == 0


def test_the_list_of_own_files_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest entries are removed. Failures to write or read the list are ignored."""
    monkeypatch.setattr(own_files, "_list_file", lambda: tmp_path / "a" / "list")
    monkeypatch.setattr(own_files, "MAX_BYTES", 10 * 33)
    for number in range(30):
        own_files.note_own(tmp_path / f"{number}.h5", "/root")
        own_files.note_own(tmp_path / f"{number}.h5", "/root")
    assert (tmp_path / "a" / "list").stat().st_size <= 11 * 33
    assert own_files.is_own(tmp_path / "29.h5", "/root")
    assert not own_files.is_own(tmp_path / "29.h5", "/other")
    assert not own_files.is_own(tmp_path / "0.h5", "/root")
    monkeypatch.setattr(own_files, "_list_file", lambda: tmp_path / "a" / "list" / "no")
    own_files.note_own(tmp_path / "x.h5", "/root")
    assert not own_files.is_own(tmp_path / "x.h5", "/root")
