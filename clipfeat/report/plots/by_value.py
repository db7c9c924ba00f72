"""Scores by the values of a column, such as the generator or the subject."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.result import Benchmark
from clipfeat.features.column_names import find_column
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions, recall
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import (
    COLOURS,
    HATCHES,
    PAPER,
    add_legend,
    label_text,
    new_figure,
)

MAX_VALUES = 24
"""Maximum number of values drawn, lowest score first."""
USUAL_COLUMNS = ("generator", "subject", "group")
"""Columns used if the protocol has no column, in this order."""


def column_of(run: Benchmark) -> str:
    """Return the column to score by: the protocol's column, else the first of `USUAL_COLUMNS`.

    Columns with fewer than two values are ignored. If no column is left, the result is empty.
    """
    of_protocol = str(run.about.get("column") or "")
    for name in (of_protocol, *USUAL_COLUMNS):
        if name and len(np.unique(values_of(run, name))) > 1:
            return name
    return ""


def values_of(run: Benchmark, column: str) -> NDArray[np.str_]:
    """Return the values of a column. Without a column ``"group"``, use the groups of the run."""
    name = find_column(column, run.columns)
    if name is not None:
        return run.columns[name]
    if column == "group" and run.groups is not None:
        return run.groups
    return np.zeros(len(run.y), dtype=np.str_)


def by_value_plot(
    predictions: Mapping[str, OutOfFoldPredictions],
    values: NDArray[np.str_],
    column: str,
    classes: Sequence[str],
) -> Plot:
    """Plot the balanced accuracy for each value, or the recall if a value has only one class.

    Parameters
    ----------
    predictions : mapping of str to OutOfFoldPredictions
        Predictions by entry, best entry first.
    values : ndarray of shape (n_samples,)
        Values of the column. If the folds are named after values, each value is scored on the
        images of its fold.
    column : str
        Name of the column.
    classes : sequence of str
        Names of the classes.
    """
    best_entry, best = next(iter(predictions.items()))
    names, fold_names = np.unique(values[best.row]).tolist(), set(best.fold.tolist())
    if fold_names <= set(names):
        names = sorted(fold_names)
    by_fold = fold_names <= set(values.tolist())
    table = np.array(
        [[_score(one, name, values, by_fold, len(classes)) for name in names]
         for one in predictions.values()]
    )  # fmt: skip
    order = np.argsort(np.nan_to_num(table[0], nan=2.0), kind="stable")[:MAX_VALUES]
    bar = 0.8 / len(predictions)
    figure, ax = new_figure(
        4.8, 1.2 + len(order) * max(0.2 * len(predictions) + 0.12, 0.34), f"By {label_text(column)}"
    )
    handles = []
    for index in range(len(predictions)):
        heights = np.arange(len(order)) + (index - (len(predictions) - 1) / 2) * bar
        scores = table[index, order]
        handles.append(
            ax.barh(heights, scores, bar * 0.92, color=COLOURS[index], hatch=HATCHES[index],
                    edgecolor=PAPER, linewidth=0)
        )  # fmt: skip
        for y, score in zip(heights, scores, strict=True):
            if not np.isnan(score):
                ax.annotate(f"{score:.3f}", (score, y), (3, 0), textcoords="offset points",
                            va="center", fontsize=8)  # fmt: skip
    ticks = [_tick_label(best, names[i], values, by_fold, classes) for i in order]
    ax.set_yticks(np.arange(len(order)), ticks)
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    ax.set(xlim=(0, 1.12), xlabel="balanced accuracy or recall")
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.axvline(1 / len(classes), color=PAPER, linewidth=0.8)
    add_legend(figure, [label_text(entry) for entry in predictions], handles)
    scored = "; ".join(f"{label_text(names[i])} {table[0, i]:.3f}" for i in order)
    return Plot(
        file_name("by", column),
        figure,
        f"Sorted by the score of {label_text(best_entry)}, lowest first, with the number of images "
        "beside each name. For a value with images of only one class, the score is the recall of "
        "that class."
        + (f" The {MAX_VALUES} lowest of {len(names)}." if len(names) > MAX_VALUES else ""),
        f"Bars for each {label_text(column)}; {label_text(best_entry)}: {scored}.",
    )


def _mask(
    one: OutOfFoldPredictions, name: str, values: NDArray[np.str_], by_fold: bool
) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (one.fold if by_fold else values[one.row]) == name
    return mask


def _score(
    one: OutOfFoldPredictions, name: str, values: NDArray[np.str_], by_fold: bool, n_classes: int
) -> float:
    mask = _mask(one, name, values, by_fold)
    return recall(one.y[mask], one.y_pred[mask], n_classes)


def _tick_label(
    one: OutOfFoldPredictions,
    name: str,
    values: NDArray[np.str_],
    by_fold: bool,
    classes: Sequence[str],
) -> str:
    mask = _mask(one, name, values, by_fold)
    present = np.unique(one.y[mask])
    only = f", only {label_text(classes[present[0]], 14)}" if len(present) == 1 else ""
    return f"{label_text(name, 20) or '(none)'} ({int(mask.sum()):,}{only})"
