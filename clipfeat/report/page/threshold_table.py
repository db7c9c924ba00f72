"""Decisions at 0.5, at a threshold chosen in training, and at the best that hindsight could."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipfeat.report.page.section import Section, Table

COLUMNS = {
    "balanced_accuracy_at_0.5": "at 0.5",
    "balanced_accuracy": "at the threshold chosen on training folds",
    "balanced_accuracy_at_oracle": "oracle: chosen on the test itself",
    "threshold": "threshold",
    "true_positive_rate": "true positives",
    "false_positive_rate": "false positives",
}


def thresholds_section(rows: Sequence[Mapping[str, Any]], entries: Sequence[str]) -> Section | None:
    """The same metric at each threshold, side by side; None where none was chosen."""
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["metric"] in COLUMNS and not np.isnan(row["value"]):
            values.setdefault((row["classifier"], row["metric"]), []).append(row["value"])
    chosen = {metric for _, metric in values} - {"balanced_accuracy"}
    if not {"balanced_accuracy_at_0.5", "balanced_accuracy_at_oracle"} & chosen:
        return None
    shown = [metric for metric in COLUMNS if metric == "balanced_accuracy" or metric in chosen]
    table = Table(
        ["classifier", *(COLUMNS[metric] for metric in shown)],
        [[entry, *(_cell(values.get((entry, metric), [])) for metric in shown)]
         for entry in entries if any((entry, metric) in values for metric in chosen)],
        "Balanced accuracy, mean ± standard deviation. The oracle looked at the answers: it bounds "
        "what a better threshold could give and is no result.",
    )  # fmt: skip
    return Section("thresholds", "Thresholds", table=table)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "–"
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"
