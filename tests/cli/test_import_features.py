"""Tests of ``clipfeat import``."""

from pathlib import Path

import numpy as np

from tests.cli.command_line import clipfeat, embed, succeed


def test_imported_features_are_fitted(image_folder: Path) -> None:
    """Imported features are joined with other features by content hash."""
    names = sorted(
        path.relative_to(image_folder).as_posix() for path in image_folder.rglob("*.png")
    )
    Path("tv").mkdir()
    np.save("tv/features.npy", np.random.default_rng(0).normal(size=(24, 4)))
    Path("tv/file_names.txt").write_text("\n".join(names) + "\n")
    result = succeed("import", "tv", "-o", "tv.h5", "--name", "alexnet", "--images", "images")
    assert "by imported:thingsvision/alexnet" in result.stdout
    assert "identified by content hash (24) or by path (0)" in result.stdout
    assert "labels: 12 fake, 12 real" in result.stdout
    embed()
    succeed("fit", "tv.h5", "out.h5", "--cv", 0)
    assert clipfeat("import", "images", "-o", "x.h5", "--name", "x").exit_code == 2
