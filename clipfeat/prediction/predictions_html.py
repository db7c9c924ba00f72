"""HTML of predictions for notebooks."""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from clipfeat.notebook import Cell, bar, card, counted, histogram

if TYPE_CHECKING:
    from clipfeat.prediction.predictions import Predictions

MAX_CLASSES, MAX_IMAGES = 8, 5
N_BINS = 20


def predictions_html(predictions: "Predictions") -> str:
    """Show the predicted classes, the first images and the images that are unreadable."""
    n = len(predictions.paths)
    counts = Counter(predictions.predicted)
    n_unread = counts.pop("", 0)
    rows: list[list[Cell]] = [
        [name, counted(count, "image"), bar(count / n)]
        for name, count in counts.most_common(MAX_CLASSES)
    ]
    rows += _first_images(predictions)
    notes = []
    if len(counts) > MAX_CLASSES:
        notes.append(f"{len(counts) - MAX_CLASSES} more classes are predicted.")
    if n_unread:
        path, reason = next(iter(predictions.errors.items()), ("", ""))
        notes.append(f"{counted(n_unread, 'unreadable image')}, such as {path}: {reason}")
    if n_unsure := int(predictions.unsure.sum()):
        notes.append(f"The model is unsure about {counted(n_unsure, 'image')}.")
    if predictions.threshold is not None:
        notes.append(f"{predictions.classes[-1]} is predicted above {predictions.threshold:.4f}.")
    calls = ["predictions.to_pandas()"]
    if predictions.n_scored:
        calls.append("predictions.scores()")
    return card(
        "Predictions",
        f"{counted(n, 'image')}, classes {', '.join(predictions.classes)}",
        rows=rows,
        notes=notes,
        next_calls=calls,
    )


def _first_images(predictions: "Predictions") -> list[list[Cell]]:
    """List the first images. If there are two classes, draw the probability of the second one.

    The number beside a predicted class is its probability.
    """
    p = predictions.probabilities
    readable = np.flatnonzero(~np.isnan(p).any(axis=1))
    if not len(readable):
        return []
    rows: list[list[Cell]] = []
    if len(predictions.classes) == 2 and len(readable) > MAX_IMAGES:
        name = predictions.classes[-1]
        counts = np.histogram(p[readable, -1], N_BINS, (0.0, 1.0))[0].tolist()
        rows.append([f"probability of {name}", "from 0 to 1", histogram(counts)])
    predicted = predictions.predicted
    for i in readable[:MAX_IMAGES].tolist():
        share = float(p[i, predictions.classes.index(predicted[i])])
        rows.append([predictions.paths[i], f"{predicted[i]} {share:.3f}", bar(share)])
    return rows
