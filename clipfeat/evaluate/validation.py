"""Scores on a validation set, by which the best entry of a run is chosen.

Entries are classifiers and votes. A learned vote is learned on the validation set too, so its score
on this set is slightly optimistic. The reported scores are those of the test rows.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clipfeat.evaluate.metrics import METRICS, score
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import one_per_file
from clipfeat.fits.cells import Cell

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark, Outcome

OnValidation = Mapping[str, Mapping[str, float]]
"""For each entry, its metrics on the validation set. Undefined metrics are missing."""


def validation_record(
    features: FeatureSet,
    outcomes: "Sequence[tuple[Outcome, Mapping[str, Sequence[Cell]]]]",
    scaled: Collection[str] = (),
) -> dict[str, Any] | None:
    """Score every entry on the validation rows of a run.

    Parameters
    ----------
    features : FeatureSet
        The rows of the plan.
    outcomes : sequence of (Outcome, cells)
        The trials that the leaderboard averages, and the cells of their entries.
    scaled : collection of str
        Entries whose scores are not probabilities. Metrics of probabilities are left out for them.

    Returns
    -------
    dict or None
        The number of validation images, and the scores of each entry, averaged over the trials.
        None if the plan has no validation rows.
    """
    values: dict[str, dict[str, list[float]]] = {}
    n_images = 0
    for outcome, cells in outcomes:
        rows = outcome.trial.validation
        if rows is None:
            return None
        for entry, (cell, *_) in cells.items():
            if cell.train is None:
                continue
            y, p, _ = one_per_file(features.y[rows], cell.train, features.files[rows])
            n_images = len(y)
            threshold = outcome.thresholds[entry][0] if entry in outcome.thresholds else None
            for metric, value in score(y, p, threshold).items():
                if metric not in METRICS or np.isnan(value):
                    continue
                if not (METRICS[metric].needs_probabilities and entry in scaled):
                    values.setdefault(entry, {}).setdefault(metric, []).append(value)
    scores = {e: {m: float(np.mean(v)) for m, v in of.items()} for e, of in values.items()}
    return {"images": n_images, "scores": scores}


def on_validation(run: "Benchmark") -> OnValidation:
    """Return the scores on the validation set; empty if the run has none."""
    record = run.about.get("validation") or {}
    scores: OnValidation = record.get("scores", {})
    return scores


def where_chosen(run: "Benchmark") -> str:
    """Return a phrase for where the thresholds of a run are chosen, to end a sentence."""
    return "on the val images" if run.about.get("validation") else "inside each training set"


def merit(metric: str, scores: Mapping[str, float]) -> tuple[float, float]:
    """Return a sort key that is larger for a better entry. Equal values are ordered by log loss.

    Parameters
    ----------
    metric : str
        Name of a metric.
    scores : mapping of str to float
        Scores of the entry on the validation set.
    """
    value = scores.get(metric, float("nan"))
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    return (-np.inf if np.isnan(value) else sign * value), -scores.get("log_loss", np.inf)
