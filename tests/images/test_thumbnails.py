"""Tests of thumbnails."""

import io
import tarfile
from pathlib import Path

from PIL import Image

from clipfeat.images.thumbnails import SIDE, thumbnails


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
