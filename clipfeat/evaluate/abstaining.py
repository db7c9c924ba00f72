"""Calibration of the prediction sets of a model, from probabilities of held-out images."""

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.held_out import HeldOut
from clipfeat.evaluate.thresholds import effective_number
from clipfeat.features import FeatureSet
from clipfeat.model.abstention import Abstention, check_images
from clipfeat.zoo.fit_options import FitOptions

ORIGINAL = "original"
"""Name of the view that is the unchanged image. The other views are augmentations."""


def check_enough_images(options: FitOptions, data: FeatureSet, held_out_for: str) -> None:
    """Check before any fit that each class has enough images for the prediction sets.

    Parameters
    ----------
    options : FitOptions
        Options of the fit. Only `abstain` is used.
    data : FeatureSet
        All labelled images.
    held_out_for : str
        Names of classifiers that hold out half of the images for the calibration. Empty for other
        classifiers. See `clipfeat.model.abstention.check_images`.

    Raises
    ------
    DataError
        If a class has too few images.
    """
    if options.abstain is None:
        return
    n_images = {
        name: len(np.unique(data.files[data.y == code])) for code, name in enumerate(data.classes)
    }
    check_images(options.abstain, n_images, held_out_for)


def calibrate(level: float | None, held_out: HeldOut) -> Abstention | None:
    """Calibrate the prediction sets of a model. Return None if the model does not abstain.

    Parameters
    ----------
    level : float, optional
        Level of the prediction sets: for each class, at most this share of its new images get a
        prediction set without the class. None if the model does not abstain.
    held_out : HeldOut
        The calibration images.

    Raises
    ------
    DataError
        If a class has too few calibration images.

    Warns
    -----
    ClipfeatWarning
        If a class has too few independent groups.
    """
    if level is None:
        return None
    rows, classes = _without_views(held_out.data, held_out.rows), held_out.data.classes
    y, p, groups = held_out.files(rows)
    n_images = np.bincount(y, minlength=len(classes)).tolist()
    check_images(level, dict(zip(classes, n_images, strict=True)))
    n_independent = n_images
    if groups is not None:
        n_independent = [effective_number(groups[y == code]) for code in range(len(classes))]
    of_classes = [np.sort(p[y == code, code]) for code in range(len(classes))]
    probabilities = np.clip(np.concatenate(of_classes), 0.0, 1.0).astype(np.float64)
    abstention = Abstention(level, probabilities, tuple(n_images), tuple(n_independent))
    abstention.warn_of_few_groups(classes)
    return abstention


def _without_views(data: FeatureSet, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out the rows of augmented views, if the unchanged images have rows too.

    New images are predicted without augmentations, so the calibration must not average over them.
    """
    if "view" not in data.columns:
        return rows
    is_original = data.columns["view"][rows] == ORIGINAL
    return rows[is_original] if is_original.any() else rows
