"""How well each value of a column is told: each generator, each subject."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.report.plots.out_of_fold import Answers, recall
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import COLOURS, HATCHES, PAPER, blank, legend, named

SHOWN = 24
"""Values, the worst first."""


def by_value(
    found: Mapping[str, Answers],
    values: NDArray[np.str_],
    column: str,
    classes: Sequence[str],
) -> Plot:
    """Bars of balanced accuracy, or of recall where a value is of one class only.

    Parameters
    ----------
    found : mapping of str to Answers
        By entry, the best first.
    values : ndarray of shape (n_samples,), str
        The column. Where folds have the names of its values, a value is what its fold tested.
    column, classes
        Their names.
    """
    first = next(iter(found.values()))
    names, by_fold = np.unique(values[first.row]).tolist(), set(first.fold.tolist())
    if by_fold <= set(names):
        names = sorted(by_fold)
    in_folds = by_fold <= set(values.tolist())
    table = np.array(
        [[_score(a, name, values, in_folds, len(classes)) for name in names]
         for a in found.values()]
    )  # fmt: skip
    order = np.argsort(np.nan_to_num(table[0], nan=2.0), kind="stable")[:SHOWN]
    bar = 0.8 / len(found)
    figure, ax = blank(
        4.8, 1.2 + len(order) * max(0.2 * len(found) + 0.12, 0.34), f"By {named(column)}"
    )
    handles = []
    for place in range(len(found)):
        where = np.arange(len(order)) + (place - (len(found) - 1) / 2) * bar
        shown = table[place, order]
        handles.append(
            ax.barh(where, shown, bar * 0.92, color=COLOURS[place], hatch=HATCHES[place],
                    edgecolor=PAPER, linewidth=0)
        )  # fmt: skip
        for y, value in zip(where, shown, strict=True):
            if not np.isnan(value):
                ax.annotate(f"{value:.3f}", (value, y), (3, 0), textcoords="offset points",
                            va="center", fontsize=8)  # fmt: skip
    ticks = [_tick(first, names[i], values, in_folds, classes) for i in order]
    ax.set_yticks(np.arange(len(order)), ticks)
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    ax.set(xlim=(0, 1.12), xlabel="balanced accuracy, or recall")
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.axvline(1 / len(classes), color=PAPER, linewidth=0.8)
    legend(figure, [named(entry) for entry in found], handles)
    told = [f"{named(names[i])} {table[0, i]:.3f}" for i in order]
    return Plot(
        file_name("by", column),
        figure,
        f"The worst first, for {named(next(iter(found)))}; beside each name, how many images. A "
        "value of one class has that class's recall."
        + (f" The worst {SHOWN} of {len(names)}." if len(names) > SHOWN else ""),
        f"Bars for each {named(column)}; {named(next(iter(found)))}: {'; '.join(told)}.",
    )


def _mask(a: Answers, name: str, values: NDArray[np.str_], in_folds: bool) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (a.fold if in_folds else values[a.row]) == name
    return mask


def _score(
    a: Answers, name: str, values: NDArray[np.str_], in_folds: bool, n_classes: int
) -> float:
    mine = _mask(a, name, values, in_folds)
    return recall(a.y[mine], a.called[mine], n_classes)


def _tick(
    a: Answers, name: str, values: NDArray[np.str_], in_folds: bool, classes: Sequence[str]
) -> str:
    mine = _mask(a, name, values, in_folds)
    present = np.unique(a.y[mine])
    only = f", only {named(classes[present[0]], 14)}" if len(present) == 1 else ""
    return f"{named(name, 20) or '(none)'} ({int(mine.sum()):,}{only})"
