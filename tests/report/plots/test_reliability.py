"""Calibration curves."""

import numpy as np

from clipfeat.report.plots.out_of_fold import Answers
from clipfeat.report.plots.reliability import calibration


def test_what_is_calibrated_lies_on_the_diagonal() -> None:
    """Drawn by its own probabilities, the share is the probability; small bins are left out."""
    rng = np.random.default_rng(0)
    said = np.append(rng.uniform(0.2, 0.7, 20_000), [0.99] * 9)
    y = (rng.uniform(size=len(said)) < said).astype(np.int64)
    p = np.column_stack([1 - said, said])
    a = Answers(y, p.argmax(axis=1), p, np.arange(len(y)), np.full(len(y), "0"), np.array([]))
    line = calibration({"svm": a}, ("real", "fake")).figure.axes[0].lines[1]
    x, share = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert x.max() < 0.75
    assert np.abs(x - share).max() < 0.05
