"""``clipfeat export``."""

from pathlib import Path

from tests.cli.command_line import assert_fails, clipfeat, embed, succeed


def test_the_suffix_chooses_the_format(image_folder: Path) -> None:
    """Known suffixes are written, others are errors."""
    embed()
    assert "x.parquet: 24 rows" in succeed("export", "out.h5", "-o", "x.parquet").stdout
    assert_fails(clipfeat("export", "out.h5", "-o", "x.xlsx"), 2, ".parquet")
