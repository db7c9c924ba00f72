"""Tests of ``clipfeat merge``."""

from pathlib import Path

from clipfeat.store import load
from tests.cli.command_line import SPECTRUM, clipfeat, embed, succeed


def test_two_folders(image_folder: Path) -> None:
    """The merged file holds all rows. Embedding both folders into it again encodes nothing."""
    for name in ("real", "fake"):
        embed(f"images/{name}", f"{name}.h5")
    result = succeed("merge", "real.h5", "fake.h5", "-o", "out.h5")
    assert "out.h5: 24 rows from 2 files" in result.stdout
    assert clipfeat("merge", "real.h5", "-o", "out.h5").exit_code == 2
    assert "0 images encoded" in succeed("embed", "images", "out.h5", *SPECTRUM).stdout
    assert load("out.h5").classes == ("real", "fake")
