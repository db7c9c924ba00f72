"""Tests of ``clipfeat search``."""

from pathlib import Path

import pandas as pd
from PIL import Image

from tests.cli.command_line import assert_fails, clipfeat, embed, succeed

WORDS = ("--device", "cpu", "--no-progress")


def test_the_table_and_the_file(image_folder: Path) -> None:
    """The nearest images are printed and written, with control characters escaped."""
    image_folder.joinpath("real", "real-00.png").rename(image_folder / "real" / "=1[b]\x1b.png")
    embed()
    query = Path("copy.png")
    query.write_bytes((image_folder / "real" / "=1[b]\x1b.png").read_bytes())
    result = succeed("search", "out.h5", query, "-k", 3, "-o", "found/new.csv", *WORDS)
    assert "nearest to copy.png" in result.stdout
    assert "real/=1[b]\\x1b.png" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stdout.endswith("found/new.csv\n")
    table = pd.read_csv("found/new.csv")
    assert table.columns.tolist() == ["rank", "similarity", "label", "path"]
    assert table.label.tolist() == ["real"] * 3
    assert table.path[0] == "real/=1[b]\\x1b.png"
    again = clipfeat("search", "out.h5", query, "-o", "found/new.csv", *WORDS)
    assert_fails(again, 2, "found/new.csv exists")


def test_errors_are_one_line(image_folder: Path) -> None:
    """A misspelt path, a text query and a file of the wrong kind are errors."""
    embed()
    assert_fails(clipfeat("search", "out.h5", "absent.png", *WORDS), 2, "no file 'absent.png'")
    words = clipfeat("search", "out.h5", "absent.png", "--text", *WORDS)
    assert_fails(words, 2, "only with features of the layer projection of")
    Image.new("RGB", (40, 40)).save("blank.png")
    assert_fails(clipfeat("search", "blank.png", "blank.png", *WORDS), 6, "blank.png")
    Path("note.txt").write_text("no image")
    assert_fails(clipfeat("search", "out.h5", "note.txt", *WORDS), 2, "note.txt")
