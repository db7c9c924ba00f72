"""Remarks on the adaptation of a model to a new domain."""

from math import isnan

from clipfeat.model import Model

MAX_LISTED = 10
"""Largest number of classes that a remark lists."""


def adaptation_remarks(model: Model) -> list[str]:
    """Write the remarks on the adaptation of a model, or none if it has no adaptation.

    The remarks state the shifts, the scores before and after the adaptation, its assumption, and
    which guarantees no longer hold.
    """
    adaptation = model.adaptation
    if adaptation is None:
        return []
    kind = "labelled" if adaptation.method == "labels" else "unlabelled"
    if len(model.classes) == 2:
        shift = adaptation.shifts[1] - adaptation.shifts[0]
        shifts = f"{shift:+.3f} on the logit of {model.classes[1]}"
    else:
        shifts = ", ".join(
            f"{shift:+.3f} on {name}"
            for name, shift in zip(model.classes, adaptation.shifts[:MAX_LISTED], strict=False)
        )
        if (more := len(model.classes) - MAX_LISTED) > 0:
            shifts += f" and {more} more classes"
    changes = ", ".join(
        f"{name} {_number(value)} → {_number(adaptation.after[name])}"
        for name, value in list(adaptation.before.items())[:MAX_LISTED]
    )
    lines = [f"Adapted with {adaptation.n_images} {kind} images: {shifts}."]
    if adaptation.method == "labels":
        lines.append(
            f"Before → after, cross-validated on the {adaptation.n_images} images: {changes}."
        )
        before, after = (scores.get("log_loss") for scores in (adaptation.before, adaptation.after))
        if before is not None and after is not None and not after < before:
            lines.append(
                "WARNING: the adaptation does not lower the log loss on these images. "
                "clipfeat adapt MODEL --undo restores the original model."
            )
    else:
        lines += [
            f"Share of images predicted as each class, before → after: {changes}.",
            "Without labels, only different class frequencies are corrected. This assumes that the "
            "images of each class look like those of the training set, and no score can check it.",
        ]
    rule = str(model.about.get("threshold_by"))
    if model.threshold is not None and rule.startswith("max_fpr"):
        lines.append(
            f"The threshold {model.threshold:.4f} now applies to the shifted probabilities. Its "
            f"bound on the false positive rate ({rule}) no longer holds."
        )
    if model.scores:
        lines.append("Cross-validated scores of the fit are those of the original model.")
    return lines


def _number(value: float) -> str:
    return "–" if isnan(value) else f"{value:.4f}"
