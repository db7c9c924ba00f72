"""Whether probabilities may be taken at their word."""

import numpy as np
import pytest

from clipfeat.evaluate.calibration import miscalibration


@pytest.mark.parametrize("n", [30, 300, 3000])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_truth_is_believed_however_few_the_rows(n: int, n_classes: int) -> None:
    """Labels that are drawn from the probabilities are hardly ever held against them."""
    doubted = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        p = rng.dirichlet(np.ones(n_classes), n)
        y = (rng.random((n, 1)) >= p.cumsum(axis=1)[:, :-1]).sum(axis=1)
        doubted += miscalibration(y, p) is not None
    assert doubted <= 3


def test_boldness_is_found() -> None:
    """Probabilities that are squeezed towards certainty are not believed."""
    rng = np.random.default_rng(0)
    positive = rng.random(500)
    y = (rng.random(500) < positive).astype(np.int64)
    bold = np.where(positive > 0.5, 0.99, 0.01)
    error = miscalibration(y, np.column_stack([1 - bold, bold]))
    assert error is not None
    assert error > 0.2
