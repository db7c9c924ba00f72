"""The section that compares decision thresholds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipfeat.evaluate.spread import mean_of, spread_of, spread_over, spread_text
from clipfeat.evaluate.tidy_rows import headline_rows
from clipfeat.report.page.section import Section, Table

HEADINGS = {
    "balanced_accuracy_at_0.5": "at 0.5",
    "balanced_accuracy": "at the threshold chosen on training folds",
    "balanced_accuracy_at_oracle": "oracle: threshold chosen on the test fold",
    "threshold": "threshold",
    "true_positive_rate": "true positive rate",
    "false_positive_rate": "false positive rate",
}


def thresholds_section(
    rows: Sequence[Mapping[str, Any]],
    entries: Sequence[str],
    positive: str | None,
    *,
    on_validation: bool = False,
) -> Section | None:
    """Tabulate balanced accuracy at each kind of threshold; None if no threshold was chosen.

    The heading states whether the thresholds were chosen on a validation set. The caption names the
    positive class.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for row in headline_rows(rows):
        if row["metric"] in HEADINGS and not np.isnan(row["value"]):
            values.setdefault((row["classifier"], row["metric"]), []).append(row["value"])
    chosen = {metric for _, metric in values} - {"balanced_accuracy"}
    if not {"balanced_accuracy_at_0.5", "balanced_accuracy_at_oracle"} & chosen:
        return None
    shown = [metric for metric in HEADINGS if metric == "balanced_accuracy" or metric in chosen]
    headings = HEADINGS | (
        {"balanced_accuracy": "at the threshold chosen on val"} if on_validation else {}
    )
    table = Table(
        ["classifier", *(headings[metric] for metric in shown)],
        [[entry, *(_cell(values.get((entry, metric), [])) for metric in shown)]
         for entry in entries if any((entry, metric) in values for metric in chosen)],
        "The first columns are balanced accuracies. Cells are means, and ± is the standard "
        f"deviation over {spread_over(rows)}. The oracle uses the test labels: it is an upper "
        f"bound, not a result. The positive class is {positive}.",
    )  # fmt: skip
    return Section("thresholds", "Thresholds", table=table)


def _cell(values: Sequence[float]) -> str:
    return spread_text(mean_of(values), spread_of(values))
