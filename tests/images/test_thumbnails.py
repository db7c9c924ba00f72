"""Tests of thumbnails."""

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from clipfeat.images.isolated import IsolatedDecoder, Isolation
from clipfeat.images.thumbnails import SIDE, find_readers, thumbnails


def test_thumbnails_of_folders_and_tars(tmp_path: Path) -> None:
    """Images below any root and within a tar have thumbnails, unless they are missing or broken."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    large = io.BytesIO()
    Image.new("RGB", (400, 200), "red").save(large, "PNG")
    (tmp_path / "b" / "one.png").write_bytes(large.getvalue())
    (tmp_path / "b" / "broken.png").write_bytes(large.getvalue()[:60])
    with tarfile.open(tmp_path / "a" / "x.tar", "w") as tar:
        member = tarfile.TarInfo("two.png")
        member.size = len(large.getvalue())
        tar.addfile(member, io.BytesIO(large.getvalue()))
    paths = ["one.png", "broken.png", "none.png", "x.tar/two.png", "x.tar/none.png", "one.png/odd"]
    pictures = thumbnails(paths, [tmp_path / "a", tmp_path / "b"])
    assert set(pictures) == {"one.png", "x.tar/two.png"}
    assert Image.open(io.BytesIO(pictures["x.tar/two.png"])).size == (SIDE, SIDE // 2)


def test_no_thumbnail_from_outside_the_root(tmp_path: Path) -> None:
    """A feature file may name any path, but only images below its root are shown."""
    (tmp_path / "root").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    outside = ["../private.png", str(tmp_path / "private.png"), "x/../../private.png"]
    assert find_readers(outside, [tmp_path / "root"]) == {}


def test_thumbnails_are_decoded_in_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that crashes its decoder costs one thumbnail."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    dying = IsolatedDecoder(Isolation("tests.images.odd_decoders:dying"))
    monkeypatch.setattr("clipfeat.images.thumbnails.IsolatedDecoder", lambda: dying)
    assert thumbnails(["a.png"], [tmp_path]) == {}
