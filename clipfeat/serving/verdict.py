"""Verdict of a model on one image, and its changes when the image is degraded.

The functions take the features of the image, so the caller chooses how the image is encoded. The
probabilities are those of `clipfeat.predict`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.views import ORIGINAL, View, read_views
from clipfeat.errors import DecodeError
from clipfeat.evaluate.metrics import decide
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import by_file
from clipfeat.model import Model
from clipfeat.prediction.degrading import DEGRADATIONS, by_view
from clipfeat.prediction.predictions import predictions_of

AVERAGE = "mean"
"""Average over the faces of an image, as in `clipfeat.predict`."""

_SHOWN = (("shrink", 0.5, "half size"), ("blur", 2, "blur, σ = 2 pixels"),
          ("crop", 0.8, "crop to 80 %"))  # fmt: skip

CHANGES: Mapping[str, str] = {
    "jpeg75": "JPEG quality 75",
    **{name: title for name, _, title in _SHOWN},
}
"""Titles of the degradations, by name of the view."""
CHANGED_VIEWS: Mapping[str, View] = {
    **read_views("jpeg75"),
    **{
        name: View(name, json.dumps(DEGRADATIONS[name].strengths[strength], sort_keys=True))
        for name, strength, _ in _SHOWN
    },
}
"""The views to encode: the original image, and one view for each of `CHANGES`."""


@dataclass(frozen=True)
class Verdict:
    """The decision of a model on one image.

    Parameters
    ----------
    predicted : str
        Name of the predicted class.
    probabilities : mapping of str to float
        Probability of each class.
    threshold : float, optional
        Decision threshold on the probability of the last class, for two classes. None predicts the
        class with the highest probability.
    members : mapping of str to mapping of str to float
        For each member of the vote, its probability of each class. A model without a vote has one
        member.
    is_unsure : bool
        Whether the model abstains, because its prediction set is not exactly the predicted class.
    plausible : tuple of str, optional
        Classes in the prediction set of a model with abstention. None for other models.
    is_training_image : bool
        Whether the model was fitted on this image. If so, the verdict says nothing about the skill
        of the model.
    """

    predicted: str
    probabilities: Mapping[str, float]
    threshold: float | None = None
    members: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    is_unsure: bool = False
    plausible: tuple[str, ...] | None = None
    is_training_image: bool = False

    @property
    def probability(self) -> float:
        """Probability of the predicted class."""
        return self.probabilities[self.predicted]

    @property
    def n_agreeing(self) -> int:
        """Number of members that predict the same class, by the decision rule of the vote."""
        names = list(self.probabilities)
        p = np.array([[member[name] for name in names] for member in self.members.values()])
        codes = decide(p.reshape(-1, len(names)), self.threshold)
        return int((codes == names.index(self.predicted)).sum())


@dataclass(frozen=True)
class Change:
    """The verdict on a degraded version of an image.

    Parameters
    ----------
    title : str
        The degradation.
    predicted : str
        Name of the predicted class.
    probability : float
        Probability of the class that is predicted for the original image.
    difference : float
        `probability` minus the probability of the same class for the original image.
    flips : bool
        Whether the predicted class differs from that of the original image.
    """

    title: str
    predicted: str
    probability: float
    difference: float
    flips: bool


def verdict_on(model: Model, features: FeatureSet) -> Verdict:
    """Return the verdict on one image.

    Parameters
    ----------
    model : Model
        The fitted model.
    features : FeatureSet
        Features of the image, or of its faces, from the model's encoders.

    Raises
    ------
    DecodeError
        If the image has no features. The message gives the reason.
    """
    if not len(features):
        raise not_encoded(features)
    predictions = predictions_of(model, features, AVERAGE)
    files = features.files.tolist()
    original = model.original()
    members = {
        name: _by_class(model, model.adapted(by_file(p, files, AVERAGE)[1])[0])
        for name, p in original.predict_proba_of_members(features).items()
    }
    plausible = None
    if predictions.abstention is not None:
        in_set = predictions.abstention.sets(predictions.probabilities[:1])[0]
        plausible = tuple(name for name, is_in in zip(model.classes, in_set, strict=True) if is_in)
    return Verdict(
        predicted=predictions.predicted[0],
        probabilities=_by_class(model, predictions.probabilities[0]),
        threshold=model.threshold,
        members=members,
        is_unsure=bool(predictions.unsure[0]),
        plausible=plausible,
        is_training_image=bool(predictions.training),
    )


def changes_of(model: Model, features: FeatureSet) -> list[Change]:
    """Return how the degradations of an image change its verdict.

    Parameters
    ----------
    model : Model
        The fitted model.
    features : FeatureSet
        Features of one image in the views `CHANGED_VIEWS`.

    Raises
    ------
    DecodeError
        If one of the views has no features. The message gives the reason.
    """
    of_view = by_view(features, list(CHANGED_VIEWS))
    if not len(of_view[ORIGINAL]):
        raise not_encoded(features)
    verdicts = {name: verdict_on(model, rows) for name, rows in of_view.items()}
    before = verdicts[ORIGINAL]
    return [
        Change(
            title,
            verdicts[name].predicted,
            verdicts[name].probabilities[before.predicted],
            verdicts[name].probabilities[before.predicted] - before.probability,
            verdicts[name].predicted != before.predicted,
        )
        for name, title in CHANGES.items()
    ]


def not_encoded(features: FeatureSet) -> DecodeError:
    """Create the exception for an image without features, with the reason of the first failure."""
    reasons = [failure.message for failure in features.failures]
    return DecodeError(reasons[0] if reasons else "not every version of the image was encoded")


def _by_class(model: Model, p: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(model.classes, p.tolist(), strict=True))
