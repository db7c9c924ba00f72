"""Tests that every file of a source is listed as an image or counted."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from clipfeat.errors import EmptySourceError, StorageError
from clipfeat.images import formats, open_source
from clipfeat.images.skipping import skipped_text


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


NAMED = ["a.png", "noext", "pic.jpg?size=large", "b.jpg_large", "img_1.5"]
HIDDEN = ["Thumbs.db", ".DS_Store", "._a.png"]
OTHER = ["notes.txt", "labels.csv", "README", "x.psd"]


def test_every_file_of_a_folder_is_accounted_for(tmp_path: Path) -> None:
    """Images with unknown suffixes are recognised by content. Other files are counted."""
    for name in NAMED:
        (tmp_path / name).write_bytes(png())
    for name in [*HIDDEN, *OTHER]:
        (tmp_path / name).write_bytes(b"text")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "a.png").write_bytes(b"text")
    source = open_source(str(tmp_path))
    assert sorted(record.path for record in source) == sorted(NAMED)
    assert source.skipped == {"hidden": 3, ".txt": 1, ".csv": 1, "no suffix": 1, ".psd": 1}
    assert len(open_source(str(tmp_path / "noext"))) == 1


def test_tars_skip_what_folders_skip(tmp_path: Path) -> None:
    """AppleDouble files and ``__MACOSX`` give no images and no labels, in tars as in folders."""
    members = {"./._1.png": b"x", "./1.png": png(), "./._1.cls": b"bad", "./1.cls": b"real",
               "__MACOSX/._1.png": b"x", "2": png(), "3.txt": b"a cat"}  # fmt: skip
    with tarfile.open(tmp_path / "mac.tar", "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("4.png")
        link.type, link.linkname = tarfile.LNKTYPE, "1.png"
        tar.addfile(link)
    source = open_source(str(tmp_path / "mac.tar"))
    assert [(r.path, r.label) for r in source] == [("mac.tar/./1.png", "real"), ("mac.tar/2", "")]
    assert source.skipped == {"hidden": 3, ".txt": 1, "link": 1}


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    """A linked folder is listed. A link to a parent folder is not followed."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "1.png").write_bytes(png())
    root = tmp_path / "images"
    (root / "fake").mkdir(parents=True)
    (root / "fake" / "2.png").write_bytes(png())
    (root / "real").symlink_to(tmp_path / "store")
    (root / "fake" / "up").symlink_to(root)
    (root / "gone").symlink_to(tmp_path / "nowhere")
    source = open_source(str(root))
    assert {r.path: r.label for r in source} == {"fake/2.png": "fake", "real/1.png": "real"}
    assert source.skipped == {"link to a folder above": 1, "broken link": 1}


def test_a_folder_is_listed_once(tmp_path: Path) -> None:
    """A folder with several paths is listed once, under its path without links."""
    root = tmp_path / "images"
    names = [f"d{i}" for i in range(12)]
    for name in names:
        (root / name / "sub").mkdir(parents=True)
        (root / name / "sub" / "1.png").write_bytes(png())
        for other in names:
            if other != name:
                (root / name / other).symlink_to(f"../{other}")
    source = open_source(str(root))
    assert [r.path for r in source] == [f"{name}/sub/1.png" for name in sorted(names)]
    assert source.skipped == {"repeated folder": 12 * 11}


def test_a_folder_under_two_classes_is_counted(tmp_path: Path) -> None:
    """The first class by name gets the images. The other link is counted."""
    (tmp_path / "store" / "sub").mkdir(parents=True)
    (tmp_path / "store" / "sub" / "1.png").write_bytes(png())
    root = tmp_path / "images"
    root.mkdir()
    for name in ("real", "fake"):
        (root / name).symlink_to(tmp_path / "store")
    source = open_source(str(root))
    assert {r.path: r.label for r in source} == {"fake/sub/1.png": "fake"}
    assert source.skipped == {"repeated folder": 1}


def test_an_unlistable_folder_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subfolder that cannot be listed ends the run, unlike an empty folder."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(png())
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StorageError, match=r"/b cannot be listed: Permission denied"):
        open_source(str(tmp_path))


def test_formats_without_their_plug_in_name_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of these formats are counted, and a note gives the pip command."""
    monkeypatch.setattr("clipfeat.images.skipping.image_suffixes", lambda: formats.SUFFIXES)
    (tmp_path / "1.HEIC").write_bytes(b"x")
    (tmp_path / "2").write_bytes(b"\xff\x0a" + bytes(40))
    text = (
        "2 files skipped: 1 .heic, 1 .jxl. To read .heic and .jxl, run: "
        "pip install 'clipfeat[formats]'"
    )
    assert skipped_text({".heic": 1, ".jxl": 1}) == text
    with pytest.raises(EmptySourceError, match=r"1 \.heic, 1 \.jxl.*clipfeat\[formats\]"):
        open_source(str(tmp_path))
