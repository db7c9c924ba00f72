"""HTML of a feature set for notebooks."""

from typing import TYPE_CHECKING

import numpy as np

from clipfeat.notebook import Cell, bar, card, counted
from clipfeat.spec import titles

if TYPE_CHECKING:
    from clipfeat.features.feature_set import FeatureSet

MAX_CLASSES = 12


def feature_set_html(features: "FeatureSet") -> str:
    """Return a card with the number of images of each class, and notes on groups and columns."""
    n = len(features)
    counts = np.bincount(features.y[features.y >= 0], minlength=len(features.classes)).tolist()
    most = max(counts, default=0) or 1
    rows: list[list[Cell]] = [
        [name, f"{count:,}", bar(count / most)]
        for name, count in list(zip(features.classes, counts, strict=True))[:MAX_CLASSES]
    ]
    notes = []
    if len(counts) > MAX_CLASSES:
        notes.append(f"{len(counts) - MAX_CLASSES} more classes.")
    if n_unlabelled := int((features.y < 0).sum()):
        notes.append(f"{counted(n_unlabelled, 'image')} without a label.")
    if features.positive:
        notes.append(f"The positive class is {features.positive}.")
    if features.groups is not None:
        notes.append(f"{counted(len(np.unique(features.groups)), 'group')}.")
    if features.columns:
        notes.append(f"Columns: {', '.join(features.columns)}.")
    if features.failures:
        notes.append(
            f"{counted(len(features.failures), 'image')} failed: {features.failures[0].message}."
        )
    encoders = " + ".join(titles(features.specs)) or "no encoder"
    return card(
        "FeatureSet",
        f"{counted(n, 'image')} × {features.X.shape[1]:,} features by {encoders}",
        heads=["class", "images", ""],
        rows=rows,
        notes=[" ".join(notes)] if notes else [],
        next_calls=(
            ["clipfeat.benchmark(features)", "clipfeat.fit(features)"]
            if sum(count > 0 for count in counts) > 1
            else ["model.predict(features)"]
        ),
    )
