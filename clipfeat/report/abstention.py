"""Remarks on the abstention of a model."""

from clipfeat.model import Model


def abstention_remarks(model: Model) -> list[str]:
    """Write the remarks on the abstention of a model, or none if it does not abstain.

    The remarks state the level, the guarantee with its conditions, and the calibration images.
    """
    abstention = model.abstention
    if abstention is None:
        return []
    if model.adaptation is not None:
        return [
            f"The model no longer marks unsure images: it was fitted with --abstain "
            f"{abstention.level:g}, and its calibration does not hold for a new domain."
        ]
    left_out = any(key in model.about for key in ("calibration_images", "threshold_images"))
    how = (
        "The calibration images were left out of the fit."
        if left_out
        else "Their probabilities are out of fold, so the level is verified by simulation only."
    )
    return [
        f"Abstains at level {abstention.level:g}: for each class, at most this share of the new "
        "images like the training images have a prediction set without their class, on average "
        "over training sets. An image is unsure if its set is not exactly the predicted class.",
        f"Calibrated with {sum(abstention.n_images)} images, {min(abstention.n_images)} or more of "
        f"each class. {how}",
    ]
