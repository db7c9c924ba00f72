"""Adapt a model to a new domain with a few images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.errors import DataError, LabelError
from clipfeat.evaluate.metrics import DECIDED, decide, score
from clipfeat.features import FeatureSet
from clipfeat.features.label_text import count_texts
from clipfeat.images.memory import ImageInput
from clipfeat.images.source_options import SourceOptions
from clipfeat.model import Model
from clipfeat.model.adaptation import Adaptation, shifted
from clipfeat.prediction.logit_shifts import estimate_shares, fit_shifts, held_out_probabilities
from clipfeat.prediction.predicting import as_model, predict
from clipfeat.prediction.predictions import Predictions
from clipfeat.system.progress import Report

MIN_IMAGES = 10
MIN_PER_CLASS = 2
"""With fewer images, leaving one out would leave none of its class."""
SHOWN = (*DECIDED, "log_loss", "brier", "true_positive_rate", "false_positive_rate")
"""Metrics before and after. The ROC AUC is not among them, because a shift does not change it."""


def adapt(
    model: Model | str | Path,
    source: FeatureSet | ImageInput,
    *,
    unlabelled: bool = False,
    weights: str | Path | Sequence[str | Path] = (),
    face_weights: str | Path | None = None,
    inputs: SourceOptions = SourceOptions(),
    device: str = "auto",
    resources: EmbedResources = EmbedResources(),
    progress: bool | Report = True,
) -> Model:
    """Adapt a model to a new domain with a few images.

    The adaptation adds one number to the logit of each class. The classifiers and the decision
    threshold of the model do not change, and `Model.original` returns the original model.

    With labelled images, the shifts are fitted by maximum likelihood with a Gaussian prior. Without
    labels, they follow from the shares of the classes among the images, which are estimated by
    expectation-maximisation. This corrects different class frequencies only: it assumes that the
    images of each class look like those of the training set. If they do not, use labelled images.

    Training images of the model are left out. A bound on the false positive rate (`max_fpr`) does
    not hold for the adapted model.

    Parameters
    ----------
    model : Model or path
        A fitted model, or a model file. An earlier adaptation is replaced.
    source : FeatureSet, path, sequence of paths, images in memory, or ImageSource
        Features or images of the new domain, as for `clipfeat.predict`.
    unlabelled : bool
        Ignore the labels, and use all images without labels. If False, the labelled images are used
        if there are any.
    weights, face_weights, device, resources, progress
        As in `clipfeat.predict`.
    inputs : SourceOptions
        Options for reading images. `labels` is a table of the true classes.

    Returns
    -------
    Model
        The adapted model. ``Model.adaptation`` has scores before and after. With labels, the scores
        after are cross-validated: the shifts for an image are fitted without this image.

    Raises
    ------
    LabelError
        If there are fewer than 10 labelled images, or fewer than 2 of a class.
    DataError
        If there are fewer than 10 unlabelled images. If the model does not store the class shares
        of its training set.

    Examples
    --------
    >>> adapted = clipfeat.adapt("model.clipfeat", "new/")  # doctest: +SKIP
    >>> adapted.save("adapted.clipfeat")  # doctest: +SKIP
    """
    original = as_model(model).original()
    predictions = predict(
        original, source, weights=weights, face_weights=face_weights, inputs=inputs,
        device=device, resources=resources, progress=progress,
    )  # fmt: skip
    return adapt_to(original, predictions, unlabelled=unlabelled)


def adapt_to(model: Model, predictions: Predictions, *, unlabelled: bool = False) -> Model:
    """Adapt a model to images with the predictions of the original model. See `adapt`."""
    labelled = predictions.scored.any() or predictions.n_training > 0
    fit = _from_labels if labelled and not unlabelled else _from_shares
    return replace(model, adaptation=fit(model, predictions))


def _from_labels(model: Model, predictions: Predictions) -> Adaptation:
    rows = predictions.scored
    y, p = predictions.true[rows], predictions.probabilities[rows]
    counts = np.bincount(y, minlength=len(model.classes))
    if len(y) < MIN_IMAGES or counts.min() < MIN_PER_CLASS:
        few = np.argsort(counts, kind="stable")[:10]
        listed = ", ".join(count_texts({model.classes[code]: counts[code] for code in few}))
        left_out = predictions.n_training
        note = f". {left_out} training images of the model are left out" if left_out else ""
        raise LabelError(
            f"an adaptation needs {MIN_IMAGES} labelled images, with {MIN_PER_CLASS} or more of "
            f"each class, but there are {len(y)} ({listed}){note}. Label more images, or pass "
            "--unlabelled to adapt to the class frequencies only"
        )
    held_out = held_out_probabilities(y, p)
    before, after = (score(y, one, model.threshold) for one in (p, held_out))
    names = [name for name in SHOWN if name in before]
    return Adaptation(
        shifts=tuple(fit_shifts(y, p).tolist()),
        method="labels",
        n_images=len(y),
        before={name: before[name] for name in names},
        after={name: after[name] for name in names},
    )


def _from_shares(model: Model, predictions: Predictions) -> Adaptation:
    p = predictions.probabilities[predictions.fresh]
    if len(p) < MIN_IMAGES:
        raise DataError(
            f"an adaptation needs {MIN_IMAGES} readable images that are not training images of the "
            f"model, but there are {len(p)}. Add images"
        )
    if model.prior is None:
        raise DataError(
            "the model does not store the class shares of its training set, which an adaptation "
            "without labels needs. Fit the model again with clipfeat fit, or pass labelled images"
        )
    prior = np.array(model.prior)
    shifts = np.log(estimate_shares(p, prior) / prior)
    before, after = (
        np.bincount(decide(one, model.threshold), minlength=len(prior)) / len(p)
        for one in (p, shifted(p, shifts))
    )
    return Adaptation(
        shifts=tuple((shifts - shifts.mean()).tolist()),
        method="prior",
        n_images=len(p),
        before=dict(zip(model.classes, before.tolist(), strict=True)),
        after=dict(zip(model.classes, after.tolist(), strict=True)),
    )
