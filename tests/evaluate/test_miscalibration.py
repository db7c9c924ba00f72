"""Tests of the test for miscalibration."""

import numpy as np
import pytest

from clipfeat.evaluate.miscalibration import miscalibration


@pytest.mark.parametrize("n", [30, 300, 3000])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_calibrated_probabilities_pass(n: int, n_classes: int) -> None:
    """Calibrated probabilities are rarely reported, for small and large samples."""
    reported = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        p = rng.dirichlet(np.ones(n_classes), n)
        y = (rng.random((n, 1)) >= p.cumsum(axis=1)[:, :-1]).sum(axis=1)
        reported += miscalibration(y, p) is not None
    assert reported <= 3


def test_overconfidence_is_reported() -> None:
    """Probabilities that are pushed towards 0 and 1 are reported."""
    rng = np.random.default_rng(0)
    positive = rng.random(500)
    y = (rng.random(500) < positive).astype(np.int64)
    bold = np.where(positive > 0.5, 0.99, 0.01)
    error = miscalibration(y, np.column_stack([1 - bold, bold]))
    assert error is not None
    assert error > 0.2
