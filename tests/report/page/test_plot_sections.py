"""Tests of the sections with plots."""

from dataclasses import replace

import pandas as pd

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.protocols import FewShot, LeaveOneOut, Matrix
from clipfeat.report.page.plot_sections import column_of, protocol_sections, robustness_section
from clipfeat.report.plots.out_of_fold import out_of_fold_predictions
from tests.report.runs import make_run, with_generators


def test_each_protocol_has_a_section_of_its_own() -> None:
    """Folds give bars, a matrix a heat map, and few-shot runs a curve."""
    features = with_generators(40)
    plans = {
        "by-value": LeaveOneOut("generator").plan(features),
        "matrix": Matrix("generator", 2).plan(features),
        "few-shot": FewShot([2, 8], repeats=2).plan(features),
    }
    for name, protocol in plans.items():
        run = make_run(features, protocol, {"svm": 1.0})
        predictions = out_of_fold_predictions(run, "svm")
        assert predictions is not None
        sections = protocol_sections(run, Leaderboard.from_rows(run.rows), {"svm": predictions})
        assert name in [section.name for section in sections]


def test_the_column_comes_from_the_protocol_or_the_data() -> None:
    """The column of a plot is that of the protocol, or one with several values."""
    run = make_run(with_generators(30))
    assert column_of(run) == "generator"
    odd = {**run.columns, "camera": run.columns["generator"]}
    assert column_of(replace(run, columns=odd, about={"column": "camera"})) == "camera"
    assert column_of(replace(run, columns={}, groups=run.paths)) == "group"
    assert column_of(replace(run, columns={})) == ""


def test_robustness_has_a_plot_per_degradation() -> None:
    """The alternative text gives the scores at both ends of each line."""
    table = pd.DataFrame(
        [("original", float("nan"), "roc_auc", 0.9, 5), ("jpeg", 90.0, "roc_auc", 0.8, 5),
         ("blur", 1.0, "roc_auc", 0.7, 5)],
        columns=["degradation", "strength", "metric", "value", "n"],
    )  # fmt: skip
    section = robustness_section(table, {"jpeg": "JPEG quality"})
    assert [plot.alt for plot in section.plots] == [
        "JPEG quality: ROC AUC from 0.900 to 0.800.", "blur: ROC AUC from 0.900 to 0.700.",
    ]  # fmt: skip
