"""Tests of thumbnails."""

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from clipfeat.images.isolated import IsolatedDecoder, Isolation
from clipfeat.images.thumbnails import SIDE, find_readers, thumbnails


def test_thumbnails_of_folders_and_tars(tmp_path: Path) -> None:
    """Images in any root and in tars have thumbnails, unless they are missing or damaged."""
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
    """Images outside the root have no thumbnail, even if a feature file names them."""
    (tmp_path / "root").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    outside = ["../private.png", str(tmp_path / "private.png"), "x/../../private.png"]
    assert find_readers(outside, [tmp_path / "root"]) == {}


def test_no_thumbnail_through_a_link_that_leads_outside(tmp_path: Path) -> None:
    """Links that lead out of the root are not followed. Links within it are."""
    root, private = tmp_path / "root", tmp_path / "private"
    for folder in (root / "a", private):
        folder.mkdir(parents=True)
    for file in (private / "x.png", root / "a" / "y.png"):
        Image.new("RGB", (8, 8)).save(file)
    with tarfile.open(private / "x.tar", "w") as tar:
        tar.add(private / "x.png", "x.png")
    for link, target in (
        ("x.png", "../private/x.png"), ("sub", "../private"), ("x.tar", private / "x.tar"),
        ("loop.png", "loop.png"), ("y.png", "a/y.png"),
    ):  # fmt: skip
        (root / link).symlink_to(target)
    paths = ["x.png", "sub/x.png", "x.tar/x.png", "loop.png", "y.png", "a/y.png", "a\0b.png"]
    assert set(find_readers(paths, [root])) == {"y.png", "a/y.png"}


def test_thumbnails_are_decoded_in_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that crashes its decoder only lacks its thumbnail."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    dying = IsolatedDecoder(Isolation("tests.images.odd_decoders:dying"))
    monkeypatch.setattr("clipfeat.images.thumbnails.IsolatedDecoder", lambda: dying)
    assert thumbnails(["a.png"], [tmp_path]) == {}
