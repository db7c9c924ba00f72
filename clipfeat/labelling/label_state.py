"""What the labelling page of an application shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class QueuedImage:
    """An image that waits for a label.

    Parameters
    ----------
    row : int
        Row of the features.
    path : str
        Path of the image.
    predicted : str
        Likeliest class. Empty if no classifier was fitted.
    margin : float or None
        As in `LabelQueue`. None if no classifier was fitted.
    """

    row: int
    path: str
    predicted: str = ""
    margin: float | None = None


@dataclass(frozen=True)
class LabelState:
    """What the page of an application shows.

    Parameters
    ----------
    annotator : str
        Name of the person.
    classes : sequence of str
        Names of the classes, in the order of their keys.
    counts : mapping of str to int
        Number of images that this person has given each class.
    n_labelled : int
        Number of images with a label, from the features or from anybody.
    n_images : int
        Number of images.
    pending : sequence of QueuedImage
        Images that wait for a label of this person, most useful first.
    n_fitted : int
        Number of labels on which the classifier of the queue was fitted. 0 without a classifier.
    is_fitting : bool
        Whether a new queue is being computed.
    can_undo : bool
        Whether this person has made a decision.
    error : str
        Why the last queue could not be computed, or an empty text.
    """

    annotator: str
    classes: Sequence[str]
    counts: Mapping[str, int]
    n_labelled: int
    n_images: int
    pending: Sequence[QueuedImage]
    n_fitted: int
    is_fitting: bool
    can_undo: bool
    error: str = ""
