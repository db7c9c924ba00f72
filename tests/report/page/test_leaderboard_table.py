"""Tests of the HTML leaderboard."""

import re

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.report.page import leaderboard_table

BOARD = Leaderboard(
    ["svm", "<b>knn", "dummy"],
    {
        "svm": {"accuracy": 0.91, "log_loss": 0.4, "calibration_error": 0.1, "fit_seconds": 2.0},
        "<b>knn": {"accuracy": 0.9, "log_loss": 0.3, "calibration_error": float("nan")},
        "dummy": {"accuracy": 0.5, "log_loss": 0.7, "calibration_error": 0.0},
    },
    {"svm": {"accuracy": 0.01}, "<b>knn": {}, "dummy": {}},
    "accuracy",
)


def test_the_best_of_each_metric_is_bold() -> None:
    """The best value is bold, except for costs and values of the dummy classifier."""
    html = leaderboard_table(BOARD)
    assert re.findall(r"<b>(.*?)</b>", html) == ["0.910", "0.100", "0.300"]
    assert "<small>± 0.010</small>" in html
    assert "fit s" in html
    assert "Brier" not in html


def test_names_and_errors_are_text() -> None:
    """Names are escaped. A failed entry has a row with its error."""
    html = leaderboard_table(BOARD, {"mlp": "fold 0: <script>alert(1)</script>"})
    assert "&lt;b&gt;knn" in html
    assert "<script" not in html
    assert "failed: fold 0: &lt;script&gt;" in html
