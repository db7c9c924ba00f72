"""Tests of predictions with another positive class, and of unsure images."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.evaluate.metrics import DECIDED, score
from clipfeat.model.abstention import Abstention
from clipfeat.prediction.predictions import Predictions


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_scores_with_the_other_positive_class(threshold: float | None) -> None:
    """Predicted classes stay the same, and metrics refer to the chosen class."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    positive = np.clip(rng.normal(0.3 + 0.2 * y, 0.2), 0, 1).round(1)
    p = np.column_stack([1 - positive, positive])
    labels = np.array(["real", "fake"])[y].tolist()
    paths = [str(i) for i in range(60)]
    default = Predictions(paths, p, ("real", "fake"), labels, threshold=threshold)
    chosen = default.with_positive("real")
    assert (default.positive, chosen.positive) == ("fake", "real")
    assert chosen.predicted == default.predicted
    values, flipped = chosen.scores(), score(1 - y, p[:, ::-1])
    for name in flipped:
        expected = default.scores()[name] if name in DECIDED else flipped[name]
        assert values[name] == pytest.approx(expected, nan_ok=True), name
    assert values["average_precision"] != default.scores()["average_precision"]
    if threshold is not None:
        predicted = np.array(chosen.predicted)
        assert values["false_positive_rate"] == pytest.approx((predicted[y == 1] == "real").mean())
        assert values["true_positive_rate"] == pytest.approx((predicted[y == 0] == "real").mean())
    assert chosen.with_positive("fake").scores() == pytest.approx(default.scores(), nan_ok=True)


def test_unsure_images() -> None:
    """An image is unsure unless its prediction set is exactly the predicted class."""
    p = np.array([0.05, 0.30, 0.45, 0.70, 0.95, np.nan])
    # The lowest of 19 calibration values is the smallest probability: 0.6 and 0.2.
    values = np.concatenate([np.linspace(0.6, 1, 19), np.linspace(0.2, 1, 19)])
    predictions = Predictions(
        [str(i) for i in range(6)], np.column_stack([1 - p, p]), ("real", "fake"),
        ["real", "fake", "real", "real", "fake", "fake"], {"5": "damaged"}, threshold=0.5,
        abstention=Abstention(0.05, values, (19, 19), (19, 19)),
    )  # fmt: skip
    # The sets are real; both; fake, which is not predicted; fake; fake.
    assert predictions.unsure.tolist() == [False, True, True, False, False, False]
    assert predictions.missed == {"real": 2 / 3, "fake": 0.0}
    table = predictions.to_pandas()
    assert table.unsure.isna().tolist() == [False] * 5 + [True]
    assert "2,real,True," in table.to_csv(index=False)
    assert "unsure" not in replace(predictions, abstention=None).to_pandas()
    assert "The model is unsure about 2 images." in predictions._repr_html_()
