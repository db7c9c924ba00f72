"""Which pictures a run gives, section by section."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.result import Benchmark
from clipfeat.features import FeatureSet
from clipfeat.report.page.section import Section
from clipfeat.report.plots.by_value import by_value
from clipfeat.report.plots.confusion import confusion
from clipfeat.report.plots.curves import precision_recall, roc
from clipfeat.report.plots.feature_map import feature_maps
from clipfeat.report.plots.few_shot import few_shot
from clipfeat.report.plots.matrix import matrix
from clipfeat.report.plots.out_of_fold import Answers
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.reliability import calibration
from clipfeat.report.plots.scores import scores
from clipfeat.report.robustness_curves import SHOWN, draw_robustness

if TYPE_CHECKING:
    import pandas as pd

USUAL_COLUMNS = ("generator", "subject", "group")
"""Looked at where the protocol has no column."""
BARS = 3
MATRICES = 2


def answer_sections(found: Mapping[str, Answers], classes: Sequence[str]) -> list[Section]:
    """Curves, calibration, histograms and confusion matrices."""
    return [
        Section("curves", "ROC and precision-recall curves",
                plots=[roc(found, classes), precision_recall(found, classes)]),
        Section("calibration", "Calibration", plots=[calibration(found, classes)]),
        Section("scores", "Scores", small=True,
                plots=[scores(entry, a, classes) for entry, a in found.items()]),
        Section("confusion", "Confusion matrices", small=len(classes) <= 4,
                plots=[confusion(entry, a, classes) for entry, a in found.items()]),
    ]  # fmt: skip


def protocol_sections(
    run: Benchmark, board: Leaderboard, found: Mapping[str, Answers]
) -> list[Section]:
    """Bars by a column, or the matrix, the few-shot curve: whichever there are."""
    column = column_of(run)
    bars: list[Plot] = []
    if found and column and not any(outcome.trial.tested_on for outcome in run.outcomes):
        best = {entry: found[entry] for entry in list(found)[:BARS]}
        bars = [by_value(best, values_of(run, column), column, run.classes)]
    grids = [matrix(entry, run.rows, board.metric) for entry in list(found)[:MATRICES]]
    curve = few_shot(list(found), run.rows, board.metric)
    sections = [
        Section("by-value", f"By {column}", plots=bars),
        Section("matrix", "Trained on each, tested on each",
                plots=[plot for plot in grids if plot is not None]),
        Section("few-shot", "Few training images", plots=[curve] if curve else []),
    ]  # fmt: skip
    return [section for section in sections if section.plots]


def robustness_section(table: "pd.DataFrame", titles: Mapping[str, str]) -> Section:
    """A picture for each degradation."""
    plots = []
    is_original = table["degradation"] == "original"
    for name in table.loc[~is_original, "degradation"].unique():
        title = titles.get(name, name)
        mine = table[is_original | (table["degradation"] == name)]
        shown = [metric for metric in SHOWN if metric in set(mine["metric"])]
        ends = [
            f"{METRICS[metric].title} from {of['value'].iloc[0]:.3f} to {of['value'].iloc[-1]:.3f}"
            for metric, of in mine.groupby("metric", sort=False)
            if metric in shown
        ]
        plots.append(
            Plot(
                file_name("robustness", name),
                draw_robustness(mine, {name: title}, shown),
                "It begins, hollow, with the images as they are; flat is robust.",
                f"{title}: {'; '.join(ends)}.",
            )
        )
    return Section("robustness", "Robustness", plots=plots, small=True)


def map_section(features: FeatureSet, column: str) -> Section:
    """Features on a plane."""
    known = column if column in features.columns or column == "group" else ""
    if known == "group" and features.groups is None:
        known = ""
    return Section("map", "The features on a plane", plots=feature_maps(features, known))


def column_of(run: Benchmark) -> str:
    """The protocol's column, else one of the usual ones, if it has 2 values or more; else none."""
    asked = str(run.about.get("column") or "")
    for name in (asked, *USUAL_COLUMNS):
        if name and len(np.unique(values_of(run, name))) > 1:
            return name
    return ""


def values_of(run: Benchmark, column: str) -> NDArray[np.str_]:
    """A column by its name; ``group`` is the groups; empty where there is none."""
    if column in run.columns:
        return run.columns[column]
    if column == "group" and run.groups is not None:
        return run.groups
    return np.zeros(len(run.y), dtype=np.str_)
