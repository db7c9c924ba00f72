"""Small pictures."""

import io
import tarfile
from pathlib import Path

from PIL import Image

from clipfeat.images.thumbnails import SIDE, thumbnails


def test_pictures_are_found_in_folders_and_in_tars(tmp_path: Path) -> None:
    """By their path below any root, a tar on the way too; what is missing or broken is left out."""
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
    asked = ["one.png", "broken.png", "none.png", "x.tar/two.png", "x.tar/none.png", "one.png/odd"]
    found = thumbnails(asked, [tmp_path / "a", tmp_path / "b"])
    assert set(found) == {"one.png", "x.tar/two.png"}
    assert Image.open(io.BytesIO(found["x.tar/two.png"])).size == (SIDE, SIDE // 2)
