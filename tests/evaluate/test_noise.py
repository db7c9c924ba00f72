"""Tests that every protocol scores 0.5 on noise. The simulation ``noise`` has more draws."""

import numpy as np
import pytest

from benchmarks.fitted_simulations import noise_features, noise_protocols, noise_scores
from clipfeat.zoo.fit_options import FitOptions

NAMES = sorted(noise_protocols(40, 40, 0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sizes", [(120, 120), (200, 40)], ids=str)
def test_noise_scores_one_half(name: str, sizes: tuple[int, int]) -> None:
    """The dummy classifier scores exactly 0.5, and others within the sampling error."""
    draws = [
        noise_scores(
            noise_features(*sizes, seed), "logreg,dummy", noise_protocols(*sizes, seed)[name], seed
        )
        for seed in range(4)
    ]
    assert all(draw["dummy"][:2] == [0.5, 0.5] for draw in draws)
    accuracy, area, _ = np.mean([draw["logreg"] for draw in draws], axis=0)
    assert abs(accuracy - 0.5) < 0.09
    assert abs(area - 0.5) < 0.12


@pytest.mark.parametrize("name", ["leave one out", "matrix"])
def test_unequal_classes_are_not_all_called_negative(name: str) -> None:
    """Trained on noise of 200 to 40 images, only a balanced model predicts both classes."""
    data, protocol = noise_features(200, 40, 0), noise_protocols(200, 40, 0)[name]
    called = [noise_scores(data, "logreg", protocol, 0, options)["logreg"][2]
              for options in (FitOptions(), FitOptions(balance="none"))]  # fmt: skip
    assert 0.25 < called[0] < 0.75
    assert called[1] < 0.1
