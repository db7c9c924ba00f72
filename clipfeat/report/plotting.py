"""Plots of a benchmark by name, for `Benchmark.plot`."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from clipfeat.errors import DataError, unknown_name
from clipfeat.evaluate.external_scores import no_probabilities
from clipfeat.evaluate.leaderboard import DEFAULT_METRIC, Leaderboard
from clipfeat.evaluate.result import Benchmark
from clipfeat.report.plots.by_value import by_value_plot, column_of, values_of
from clipfeat.report.plots.confusion_matrix import confusion_plot
from clipfeat.report.plots.curves import precision_recall_plot, roc_plot
from clipfeat.report.plots.few_shot import few_shot_plot
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions, best_predictions
from clipfeat.report.plots.plot import Plot
from clipfeat.report.plots.reliability import calibration_plot
from clipfeat.report.plots.scores import scores_plot
from clipfeat.report.plots.style import plot_style
from clipfeat.report.plots.train_test_matrix import train_test_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Predictions = Mapping[str, OutOfFoldPredictions]


def _by_value(run: Benchmark, predictions: Predictions, metric: str) -> Plot | None:
    column = column_of(run)
    if not column:
        return None
    return by_value_plot(predictions, values_of(run, column), column, run.classes)


def _calibration(run: Benchmark, of: Predictions, metric: str) -> Plot | None:
    undefined = no_probabilities(run)
    known = {entry: one for entry, one in of.items() if entry not in undefined}
    return calibration_plot(known, run.classes) if known else None


PLOTS: Mapping[str, Callable[[Benchmark, Predictions, str], Plot | None]] = {
    "roc": lambda run, of, metric: roc_plot(of, run.classes),
    "precision_recall": lambda run, of, metric: precision_recall_plot(of, run.classes),
    "calibration": _calibration,
    "scores": lambda run, of, metric: scores_plot(*next(iter(of.items())), run.classes),
    "confusion": lambda run, of, metric: confusion_plot(*next(iter(of.items())), run.classes),
    "by_value": _by_value,
    "matrix": lambda run, of, metric: train_test_plot(next(iter(of)), run.rows, metric),
    "few_shot": lambda run, of, metric: few_shot_plot(list(of), run.rows, metric),
}
"""Functions that draw plots, by name. A function returns None if the run lacks the plot's data."""


def plot(
    run: Benchmark,
    name: str,
    *,
    entries: Sequence[str] | None = None,
    metric: str = DEFAULT_METRIC,
) -> "Figure":
    """Draw one plot of a benchmark.

    Parameters
    ----------
    run : Benchmark
        The run, with out-of-fold probabilities.
    name : str
        One of `PLOTS`: ``"roc"``, ``"precision_recall"``, ``"calibration"``, ``"scores"``,
        ``"confusion"``, ``"by_value"``, ``"matrix"`` or ``"few_shot"``.
    entries : sequence of str, optional
        Entries (classifiers and votes) to draw, at most six; by default the best. The plots
        ``"scores"``, ``"confusion"`` and ``"matrix"`` draw only the first entry.
    metric : str
        Metric that orders the entries, and that ``"matrix"`` and ``"few_shot"`` draw.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UnknownNameError
        If there is no such plot, entry or metric.
    DataError
        If the run has no predictions or no other data for the plot.
    """
    if name not in PLOTS:
        raise unknown_name("plot", name, PLOTS)
    for entry in entries or ():
        if entry not in run.entries:
            raise unknown_name("entry", entry, run.entries)
    board = Leaderboard.from_rows(run.rows, metric)
    predictions = best_predictions(run, board.entries if entries is None else entries)
    if not predictions:
        raise DataError("no entry of this run has out-of-fold predictions. See `run.errors`.")
    with plot_style():
        drawn = PLOTS[name](run, predictions, metric)
    if drawn is None:
        raise DataError(
            f"the run has no data for the plot {name!r} (protocol {run.about.get('protocol')!r}). "
            "Choose another plot."
        )
    return drawn.figure
