"""What a run chose and found, in one plain sentence each."""

import numpy as np

from clipfeat.evaluate.benchmark import Benchmark
from clipfeat.evaluate.metrics import DECIDED


def remarks(run: Benchmark) -> list[str]:
    """Sentences for below a leaderboard: the thresholds."""
    return _thresholds(run)


def _thresholds(run: Benchmark) -> list[str]:
    by = run.about.get("threshold_by")
    metric = by if by in DECIDED else "balanced_accuracy"
    values: dict[tuple[str, str], list[float]] = {}
    for row in run.rows:
        values.setdefault((row["classifier"], row["metric"]), []).append(row["value"])
    said = []
    for entry, chosen in run.thresholds.items():
        names = (metric, f"{metric}_at_0.5", "true_positive_rate", "false_positive_rate")
        at, half, true, false = (np.nanmean(values[entry, name]) for name in names)
        said.append(
            f"{entry} calls {run.classes[1]} above {np.mean(chosen):.3f} ± {np.std(chosen):.3f}, "
            f"by {by} inside each training: {metric} {at:.3f} (at 0.5: {half:.3f}), true "
            f"positives {true:.3f}, false positives {false:.3f}"
        )
    return said
