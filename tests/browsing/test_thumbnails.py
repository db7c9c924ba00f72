"""Tests of the thumbnails and their cache."""

import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipfeat.browsing import file_cache
from clipfeat.browsing.file_cache import KEPT, FileCache
from clipfeat.browsing.thumbnails import BrowseThumbnails, ChangedImageError
from clipfeat.features.face_keys import face_key
from clipfeat.images import open_source
from clipfeat.images.record import image_key
from tests.browsing.browsed import browse_data
from tests.conftest import make_features


def thumbnails(root: Path, cache: Path, *paths: str) -> BrowseThumbnails:
    """Return the thumbnails of images at these paths."""
    features = replace(make_features(len(paths), ("a",)), paths=np.array(paths))
    return BrowseThumbnails(browse_data(features, [str(root)]), FileCache(cache))


def test_a_thumbnail_is_made_once_and_again_after_a_change(tmp_path: Path) -> None:
    """A thumbnail is cached until the size or the time of its file changes."""
    Image.new("RGB", (900, 450), "red").save(tmp_path / "a.png")
    with thumbnails(tmp_path, tmp_path / "cache", "a.png") as made:
        first = made.make(0)
        assert first is not None
        image = Image.open(io.BytesIO(first))
        assert (image.format, image.size) == ("JPEG", (224, 112))
        (kept,) = (file for file in (tmp_path / "cache").rglob("*") if file.is_file())
        kept.write_bytes(b"kept")
        assert made.make(0) == b"kept"
        Image.new("RGB", (90, 90), "blue").save(tmp_path / "a.png")
        second = made.make(0)
        assert second is not None
        assert Image.open(io.BytesIO(second)).size == (90, 90)


def test_only_regular_files_of_the_cache_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipes, links, large files and folders in the cache are not read, and links not followed."""
    monkeypatch.setattr(file_cache, "MAX_FILE", 10)
    (tmp_path / "secret").write_bytes(b"secret")
    cache = FileCache(tmp_path / "cache")
    (tmp_path / "cache" / "aa").mkdir(parents=True)
    os.mkfifo(tmp_path / "cache" / "aa" / "pipe")
    (tmp_path / "cache" / "aa" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "cache" / "aa" / "large").write_bytes(bytes(11))
    (tmp_path / "cache" / "aa" / "folder").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "cache" / "bb").symlink_to(tmp_path / "other")
    assert [cache.get(f"aa{name}") for name in ("pipe", "link", "large", "folder")] == [None] * 4
    cache.put("bbnew", b"data")
    cache.put("aalink", b"data")
    assert not list((tmp_path / "other").iterdir()) and cache.get("aalink") == b"data"
    assert (tmp_path / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("face", ["", "1"])
def test_another_image_at_the_path_is_not_shown(tmp_path: Path, face: str) -> None:
    """If another image replaced the embedded one, its thumbnail is refused."""
    Image.new("RGB", (90, 45), "red").save(tmp_path / "a.png")
    key = image_key((tmp_path / "a.png").read_bytes())
    key = face_key(key, face) if face else key
    features = replace(
        make_features(1, ("a",)), paths=np.array(["a.png"]), columns={"face": np.array([face])},
        keys=np.array([key.hex().encode()]),
    )  # fmt: skip
    data = replace(browse_data(features, [str(tmp_path)]), is_hashed=np.array([True]))
    cache = FileCache(tmp_path / "cache")
    with BrowseThumbnails(data, cache) as made:
        assert made.make(0) is not None
        Image.new("RGB", (90, 45), "blue").save(tmp_path / "a.png")
        with pytest.raises(ChangedImageError):
            made.make(0)
    with BrowseThumbnails(replace(data, is_hashed=np.array([False])), cache) as made:
        assert made.make(0) is not None  # a frame or an imported image


def test_images_outside_the_root_are_not_read(tmp_path: Path) -> None:
    """Paths that lead out of the image folder have no thumbnail."""
    (tmp_path / "root").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    (tmp_path / "root" / "link.png").symlink_to(tmp_path / "private.png")
    paths = ("../private.png", str(tmp_path / "private.png"), "link.png", "none.png")
    with thumbnails(tmp_path / "root", tmp_path / "cache", *paths) as made:
        assert [made.make(row) for row in range(4)] == [None] * 4
    assert not (tmp_path / "cache").exists()


def test_members_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive is listed once for all its images, and a broken image has no thumbnail."""
    data = io.BytesIO()
    Image.new("RGB", (20, 10)).save(data, "PNG")
    (tmp_path / "sub").mkdir()
    with tarfile.open(tmp_path / "sub" / "x.tar", "w") as tar:
        for name, content in (("1.png", data.getvalue()), ("2.png", data.getvalue()[:40])):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    paths = ("sub/x.tar/1.png", "sub/x.tar/2.png", "sub/x.tar/none.png")
    listed = []

    def open_counting(source: Path) -> Any:
        listed.append(source)
        return open_source(source)

    monkeypatch.setattr("clipfeat.images.thumbnails.open_source", open_counting)
    with thumbnails(tmp_path, tmp_path / "cache", *paths) as made:
        for _ in range(2):
            assert [made.make(row) is None for row in range(3)] == [False, True, True]
    assert listed == [tmp_path / "sub" / "x.tar"]


def test_the_least_recently_used_thumbnails_are_deleted(tmp_path: Path) -> None:
    """Files are deleted until a part of the limit is free. A read counts as a use."""
    cache = FileCache(tmp_path / "cache", max_bytes=100)
    for number in range(12):
        cache.put(f"{number:032x}", bytes(10))
        file = tmp_path / "cache" / "00" / f"{number:032x}"[2:]
        os.utime(file, (number, number))
    assert cache.get(f"{0:032x}") == bytes(10)
    cache.trim()
    left = [number for number in range(12) if cache.get(f"{number:032x}") is not None]
    assert left == [0, *range(5, 12)]
    assert len(left) * 10 <= KEPT * 100
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """The thumbnail is shown, and computed again the next time."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "cache").write_bytes(b"a file")
    with thumbnails(tmp_path, tmp_path / "cache", "a.png") as made:
        assert made.make(0) is not None


def test_short_sessions_keep_the_limit(tmp_path: Path) -> None:
    """A session that adds one thumbnail also deletes old ones of other sessions."""
    for i in range(20):
        FileCache(tmp_path / "cache", max_bytes=100).put(f"{i:02d}key", b"x" * 50)
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 100
