"""Tests of calibration curves."""

import numpy as np

from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions
from clipfeat.report.plots.reliability import calibration_plot


def test_calibrated_probabilities_lie_on_the_diagonal() -> None:
    """Calibrated probabilities give the diagonal. Small bins are left out."""
    rng = np.random.default_rng(0)
    confidence = np.append(rng.uniform(0.2, 0.7, 20_000), [0.99] * 9)
    y = (rng.uniform(size=len(confidence)) < confidence).astype(np.int64)
    p = np.column_stack([1 - confidence, confidence])
    a = OutOfFoldPredictions(
        y, p.argmax(axis=1), p, np.arange(len(y)), np.full(len(y), "0"), np.array([])
    )
    line = calibration_plot({"svm": a}, ("real", "fake")).figure.axes[0].lines[1]
    x, frequency = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert x.max() < 0.75
    assert np.abs(x - frequency).max() < 0.05
