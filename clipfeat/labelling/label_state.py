"""State of the labelling page of an application."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class QueuedImage:
    """An image in the queue for labelling.

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
    """State of the labelling page.

    Parameters
    ----------
    annotator : str
        Name of the person.
    classes : sequence of str
        Names of the classes, in the order of their keyboard shortcuts.
    counts : mapping of str to int
        Number of images to which this person gave each class.
    n_labelled : int
        Number of images with a label from the features or from any person.
    n_images : int
        Number of images.
    pending : sequence of QueuedImage
        Images that this person should label next, most useful first.
    n_fitted : int
        Number of labels on which the classifier of the queue was fitted. 0 without a classifier.
    is_fitting : bool
        Whether a new queue is being computed.
    can_undo : bool
        Whether this person has a decision to take back.
    error : str
        Why the last queue could not be computed, or an empty text.
    n_others : int
        Number of paths with decisions about an image of other content, which do not count.
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
    n_others: int = 0
