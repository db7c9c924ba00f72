"""Test of source columns that have names of clipfeat's own columns."""

import numpy as np

from clipfeat.features.column_names import with_own_files


def test_a_column_of_the_user_is_never_taken_for_files() -> None:
    """A column ``file`` is used only if the rows' paths confirm its values.

    Version 0.1 also stored other columns under this name.
    """
    paths = np.array(["a.png", "b.mp4@1s", "c.png#hflip", "d/e.png"])
    mixed = {"file": np.array(["scan", "b.mp4", "c.png", "d"]), "site": paths}
    kept = with_own_files(mixed, paths)
    assert kept["file"].tolist() == ["", "b.mp4", "c.png", ""]
    assert kept["file_"].tolist() == ["scan", "", "", "d"]
    own = {"file": np.array(["a.png", "b.mp4", "c.png", ""])}
    assert with_own_files(own, paths).keys() == {"file"}
    foreign = {"file": np.array(["x"] * 4), "file_": paths}
    assert with_own_files(foreign, paths).keys() == {"file_", "file__"}
