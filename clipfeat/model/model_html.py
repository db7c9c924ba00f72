"""HTML of a model for notebooks."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from clipfeat.notebook import Cell, bar, card

if TYPE_CHECKING:
    from clipfeat.model.model_file import Model

METRICS = {"balanced_accuracy": "balanced acc.", "roc_auc": "ROC AUC", "accuracy": "accuracy"}
"""Metrics of the table, with their headings. A bar shows the first one."""


def model_html(model: "Model") -> str:
    """Show the members, the classes and the scores of the cross-validation."""
    scores = _means(model)
    shown = [name for name in METRICS if any(name in of for of in scores.values())]
    rows: list[list[Cell]] = []
    for entry, of_entry in scores.items():
        values = [of_entry.get(name, math.nan) for name in shown]
        texts = ["–" if math.isnan(value) else f"{value:.3f}" for value in values]
        rows.append([entry, *texts, bar(values[0]) if values else ""])
    notes = ["Means over the folds of the cross-validation."] if rows else []
    if model.threshold is not None:
        notes.append(f"{model.classes[-1]} is predicted above {model.threshold:.4f}.")
    if model.adaptation is not None:
        notes.append(
            f"Adapted with {model.adaptation.n_images} images. The scores are those of the "
            "original model."
        )
    elif model.abstention is not None:
        notes.append(f"Marks unsure images at level {model.abstention.level:g}.")
    if model.specs:
        notes.append(f"Encoder: {' + '.join(spec.title for spec in model.specs)}.")
    if any(spec.untrained for spec in model.specs):
        notes.append("WARNING: the encoder has random weights.")
    calls = ['model.predict("images/")', 'model.save("model.clipfeat")']
    return card(
        "Model",
        f"{' + '.join(model.members) or type(model.estimator).__name__}, classes "
        f"{', '.join(model.classes)}",
        heads=["classifier", *(METRICS[name] for name in shown), ""],
        rows=rows,
        notes=notes,
        next_calls=calls if model.specs else ["model.predict_proba(X)", calls[1]],
    )


def _means(model: "Model") -> dict[str, dict[str, float]]:
    """Average the scores of each entry over the folds, without undefined scores."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in model.scores:
        if _is_shown(row):
            of_entry = values.setdefault(str(row.get("classifier", "")), {})
            of_entry.setdefault(row["metric"], []).append(row["value"])
    return {
        entry: {name: math.fsum(of) / len(of) for name, of in of_entry.items()}
        for entry, of_entry in values.items()
    }


def _is_shown(row: Mapping[str, object]) -> bool:
    value = row.get("value")
    return row.get("metric") in METRICS and isinstance(value, float) and not math.isnan(value)
