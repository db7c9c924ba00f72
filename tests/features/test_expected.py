"""Tests of the error for arguments that are not a feature set."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clipfeat
from clipfeat.errors import UsageError


@pytest.mark.parametrize("function", [clipfeat.fit, clipfeat.benchmark])
def test_arrays_and_paths_name_the_remedy(function: Any) -> None:
    """For arrays X and y, the error names `from_arrays`. For a path, it names `load`."""
    X, y = np.eye(4), ["a", "b", "a", "b"]
    message = "expects a FeatureSet, got ndarray. Pass clipfeat.FeatureSet.from_arrays"
    with pytest.raises(UsageError, match=message):
        function(X, y)
    with pytest.raises(UsageError, match=r"got PosixPath. Pass clipfeat.load\(path\)"):
        function(Path("out.h5"))
