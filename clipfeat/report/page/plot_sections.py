"""Sections of the page that consist of plots."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.result import Benchmark
from clipfeat.features import FeatureSet
from clipfeat.report.page.section import Section
from clipfeat.report.plots.by_value import by_value_plot, column_of, values_of
from clipfeat.report.plots.confusion_matrix import confusion_plot
from clipfeat.report.plots.curves import precision_recall_plot, roc_plot
from clipfeat.report.plots.feature_map import MapPoints, feature_maps
from clipfeat.report.plots.few_shot import few_shot_plot
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.reliability import calibration_plot
from clipfeat.report.plots.scores import scores_plot
from clipfeat.report.plots.train_test_matrix import train_test_plot
from clipfeat.report.robustness_curves import DEFAULT_METRICS, draw_robustness

if TYPE_CHECKING:
    import pandas as pd

MAX_BAR_ENTRIES = 3
MAX_MATRICES = 2


def prediction_sections(
    predictions: Mapping[str, OutOfFoldPredictions],
    classes: Sequence[str],
    uncalibrated: Collection[str] = (),
) -> list[Section]:
    """Plot curves, calibration, score histograms and confusion matrices.

    The entries in `uncalibrated` are left out of the calibration plot, because their scores are not
    probabilities.
    """
    calibrated = {entry: one for entry, one in predictions.items() if entry not in uncalibrated}
    return [
        Section("curves", "ROC and precision-recall curves", plots=[
            roc_plot(predictions, classes), precision_recall_plot(predictions, classes),
        ]),
        *([Section("calibration", "Calibration", plots=[calibration_plot(calibrated, classes)])]
          if calibrated else []),
        Section("scores", "Score distributions", small=True,
                plots=[scores_plot(entry, one, classes) for entry, one in predictions.items()]),
        Section("confusion", "Confusion matrices", small=len(classes) <= 4,
                plots=[confusion_plot(entry, one, classes) for entry, one in predictions.items()]),
    ]  # fmt: skip


def protocol_sections(
    run: Benchmark, board: Leaderboard, predictions: Mapping[str, OutOfFoldPredictions]
) -> list[Section]:
    """Plot scores by value, the train × test matrix and the few-shot curve.

    Plots for which the run has no data are left out.
    """
    column = column_of(run)
    bars: list[Plot] = []
    if predictions and column and not any(outcome.trial.tested_on for outcome in run.outcomes):
        best = {entry: predictions[entry] for entry in list(predictions)[:MAX_BAR_ENTRIES]}
        bars = [by_value_plot(best, values_of(run, column), column, run.classes)]
    matrices = [
        train_test_plot(entry, run.rows, board.metric) for entry in list(predictions)[:MAX_MATRICES]
    ]
    curve = few_shot_plot(list(predictions), run.rows, board.metric)
    sections = [
        Section("by-value", f"Scores by {column}", plots=bars),
        Section("matrix", f"Train × test matrix by {column}" if column else "Train × test matrix",
                plots=[plot for plot in matrices if plot is not None]),
        Section("few-shot", "Few-shot curve", plots=[curve] if curve else []),
    ]  # fmt: skip
    return [section for section in sections if section.plots]


def robustness_section(table: "pd.DataFrame", titles: Mapping[str, str]) -> Section:
    """Plot the robustness curves, one plot per degradation."""
    plots = []
    is_original = table["degradation"] == "original"
    for name in table.loc[~is_original, "degradation"].unique():
        title = titles.get(name, name)
        part = table[is_original | (table["degradation"] == name)]
        metrics = [metric for metric in DEFAULT_METRICS if metric in set(part["metric"])]
        changes = [
            f"{METRICS[metric].title} from {of['value'].iloc[0]:.3f} to {of['value'].iloc[-1]:.3f}"
            for metric, of in part.groupby("metric", sort=False)
            if metric in metrics
        ]
        plots.append(
            Plot(
                file_name("robustness", name),
                draw_robustness(part, {name: title}, metrics),
                "The hollow marker is the score on the original images. A flat line is robust.",
                f"{title}: {'; '.join(changes)}.",
            )
        )
    known = table["positive_class"].dropna().unique() if "positive_class" in table else ()
    paragraphs = [f"The positive class is {name}." for name in known]
    return Section("robustness", "Robustness", paragraphs, plots=plots, small=True)


def map_section(features: FeatureSet, points: MapPoints | None, column: str) -> Section:
    """Plot maps of the features, coloured by label and by a column."""
    known = column if column in features.columns or column == "group" else ""
    if known == "group" and features.groups is None:
        known = ""
    return Section("map", "Feature maps", plots=feature_maps(features, points, known))
