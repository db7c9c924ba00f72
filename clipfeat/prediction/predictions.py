"""Predictions: the probabilities of the classes for each image of a source.

A file may have several parts: the frames of a video, the faces of an image, or views
(augmentations) of an image.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import DECIDED, decide, score
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import by_file
from clipfeat.features.classes import positive_class, positive_last
from clipfeat.images.record import record_path
from clipfeat.images.source import ImageSource
from clipfeat.model import Model
from clipfeat.model.abstention import Abstention
from clipfeat.prediction.label_match import unmatched_labels
from clipfeat.system.escaping import terminal_text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """Predictions for the images of a source. Every image has a row, even if it is unreadable.

    Parameters
    ----------
    paths : sequence of str
        Paths of the images, in the order of the source.
    probabilities : ndarray of shape (n_images, n_classes)
        Probabilities of the classes. The row of an unreadable image is NaN.
    classes : tuple of str
        Names of the classes, in the order of the columns of `probabilities`.
    labels : sequence of str
        True class of each image. Empty if it is unknown.
    errors : mapping of str to str
        For each image that is unreadable, in whole or in part, its path and the reason.
    threshold : float, optional
        Decision threshold on the probability of the last class, for two classes. None predicts the
        class with the highest probability.
    chosen : str, optional
        Positive class that was chosen with `with_positive`.
    training : set of str
        Paths of the images that the model was fitted on.
    skipped : mapping of str to int
        Number of files and rows of the source that are not images, by kind. See
        `clipfeat.images.skipping`.
    abstention : Abstention, optional
        Calibration of the prediction sets. None if the model does not abstain.
    """

    paths: Sequence[str]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]
    labels: Sequence[str]
    errors: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None
    chosen: str | None = None
    training: Set[str] = frozenset()
    skipped: Mapping[str, int] = field(default_factory=dict)
    abstention: Abstention | None = None

    @property
    def positive(self) -> str | None:
        """Positive class of the scores and templates. None unless there are two classes."""
        return positive_class(self.classes) if self.chosen is None else self.chosen

    def with_positive(self, name: str) -> "Predictions":
        """Return the predictions with another positive class for scores and templates.

        The predicted classes do not change, and `threshold` still applies to the last class.

        Parameters
        ----------
        name : str
            One of the two classes.

        Raises
        ------
        UnknownNameError
            If there is no such class. The message lists the classes.
        UsageError
            If there are not exactly two classes.
        """
        return replace(self, chosen=positive_last(self.classes, name)[-1])

    def __repr__(self) -> str:
        return terminal_text(
            f"Predictions({len(self.paths)} images, {len(self.errors)} unreadable, "
            f"classes {', '.join(self.classes)})"
        )

    def _repr_html_(self) -> str:
        """Return a card for notebooks with the predicted classes and the first images."""
        from clipfeat.prediction.predictions_html import predictions_html

        return predictions_html(self)

    @property
    def predicted(self) -> list[str]:
        """Names of the predicted classes. The name is empty for an unreadable image."""
        readable = ~np.isnan(self.probabilities[:, 0])
        decided = np.where(readable, decide(self.probabilities, self.threshold), len(self.classes))
        names = [*self.classes, ""]
        return [names[code] for code in decided.tolist()]

    @property
    def unsure(self) -> NDArray[np.bool_]:
        """Mask of the readable images whose prediction set is not exactly the predicted class.

        The set of such an image has no class, several classes, or another class. All values are
        False if the model does not abstain.
        """
        if self.abstention is None:
            return np.zeros(len(self.paths), dtype=np.bool_)
        sets = self.abstention.sets(self.probabilities)
        predicted = decide(np.nan_to_num(self.probabilities), self.threshold)
        is_sure = (sets.sum(axis=1) == 1) & sets[np.arange(len(sets)), predicted]
        return np.asarray(self._readable & ~is_sure, dtype=np.bool_)

    @property
    def missed(self) -> dict[str, float]:
        """For each class, the share of its scored images whose prediction set lacks the class.

        Empty if the model does not abstain. Classes without scored images are left out.
        """
        if self.abstention is None:
            return {}
        rows = self.scored
        y, sets = self.true[rows], self.abstention.sets(self.probabilities[rows])
        lacks = ~sets[np.arange(len(y)), y]
        return {
            name: float(lacks[y == code].mean())
            for code, name in enumerate(self.classes)
            if (y == code).any()
        }

    def to_pandas(self) -> "pd.DataFrame":
        """Make a table with one row per image.

        Returns
        -------
        DataFrame
            The columns are ``path``, ``predicted``, ``unsure`` if the model abstains,
            ``p_<class>`` for each class, ``label`` if a true class is known, and ``error``.
        """
        import pandas as pd

        table = pd.DataFrame({"path": list(self.paths), "predicted": self.predicted})
        if self.abstention is not None:
            unsure = pd.array(self.unsure, dtype="boolean")
            unsure[~self._readable] = pd.NA
            table["unsure"] = unsure
        for i, name in enumerate(self.classes):
            table[f"p_{name}"] = self.probabilities[:, i]
        if any(self.labels):
            table["label"] = list(self.labels)
        table["error"] = [self.errors.get(path, "") for path in self.paths]
        return table

    def scores(self) -> dict[str, float]:
        """Compute every metric over the readable images whose true class is one of `classes`.

        Images that the model was fitted on are left out. They are identified by content hash.

        Returns
        -------
        dict of str to float
            Value of each metric, by name. Empty if no image can be scored. `n_scored` is the number
            of images.
        """
        rows = self.scored
        if not rows.any():
            return {}
        y, p = self.true[rows], self.probabilities[rows]
        values = score(y, p, self.threshold)
        if self.positive == positive_class(self.classes):
            return values
        # The decisions are those of the model. A flipped threshold could decide ties differently.
        flipped = score(1 - y, p[:, ::-1])
        values |= {name: value for name, value in flipped.items() if name not in DECIDED}
        if self.threshold is not None:
            rates = (1 - values["false_positive_rate"], 1 - values["true_positive_rate"])
            values["true_positive_rate"], values["false_positive_rate"] = rates
            values["threshold"] = 1 - self.threshold
        return values

    @property
    def n_training(self) -> int:
        """Number of labelled, readable images that `scores` leaves out as training images."""
        trained = np.array([path in self.training for path in self.paths], dtype=np.bool_)
        return int((self._scorable & trained).sum())

    @property
    def unmatched(self) -> Counter[str]:
        """Numbers of images by label, for the labels that match none of `classes`."""
        return unmatched_labels(self.labels, self.classes)

    @property
    def n_scored(self) -> int:
        """Number of images that `scores` uses."""
        return int(self.scored.sum())

    @property
    def true(self) -> NDArray[np.int64]:
        """Index of the true class of each image. It is -1 if the class is not in `classes`."""
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index.get(label, -1) for label in self.labels], dtype=np.int64)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Mask of the images that `scores` uses.

        These images are readable, their true class is one of `classes`, and they are not training
        images. An image in several rows is scored once.
        """
        return self._scorable & self.fresh

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """Mask of the readable images that are not training images, without repeated images."""
        first = {path: i for i, path in reversed(list(enumerate(self.paths)))}
        fresh = np.array(
            [first[path] == i and path not in self.training for i, path in enumerate(self.paths)],
            dtype=np.bool_,
        )
        return self._readable & fresh

    @property
    def _scorable(self) -> NDArray[np.bool_]:
        scorable: NDArray[np.bool_] = self._readable & (self.true >= 0)
        return scorable

    @property
    def _readable(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.probabilities).any(axis=1), dtype=np.bool_)


def in_listed_rows(predictions: Predictions, images: ImageSource) -> Predictions:
    """Return one prediction for each row of the source's list or table, in the order of the rows.

    The prediction of a file is repeated in each row that names this file. A row without a path gets
    an error and no probabilities.
    """
    if not images.listed:
        return predictions
    place = {path: i for i, path in enumerate(predictions.paths)}
    rows = np.array([place.get(path, -1) for path in images.listed])
    p = np.where((rows >= 0)[:, None], predictions.probabilities[rows], np.nan)
    labels = [predictions.labels[row] if row >= 0 else "" for row in rows.tolist()]
    without = {"": "the row has no path"} if "" in images.listed else {}
    return replace(
        predictions,
        paths=images.listed,
        probabilities=p,
        labels=labels,
        errors={**predictions.errors, **without},
    )


_FRAME_OR_FACE = re.compile(r"@\d{4,}\.\d{3}s|#face\d+")
"""End of the path of a frame or a face."""


@dataclass(frozen=True)
class _Part:
    """A file, or a part of a file: a row of a feature set, or an image without a row."""

    path: str
    file: str
    label: str


def predictions_of(
    model: Model,
    features: FeatureSet,
    average: str | None,
    images: ImageSource | None = None,
    truth: Mapping[str, str] | None = None,
) -> Predictions:
    """Predict the class of every image of a feature set, including unreadable images.

    Parameters
    ----------
    model : Model
        The fitted model.
    features : FeatureSet
        Features of the model's encoders. The set may have no rows.
    average : str or None
        Name of the average over the parts of a file (frames, faces, views), in
        `clipfeat.features.by_file.AVERAGES`. None returns a row for each part.
    images : ImageSource, optional
        The source of the features. It defines the order of the predictions, and the files and
        labels of unreadable images. If it is None, unreadable images come last and have no label.
    truth : mapping of str to str, optional
        True class of each file. It replaces all other labels. Other files are unlabelled.

    Returns
    -------
    Predictions
        One row per file, or per part if `average` is None.
    """
    parts = _parts_with_rows(features)
    errors = {f.path: f"{f.reason}: {f.message}" for f in features.failures}
    place: dict[str, int] = {}
    if images is None:
        parts += _failed_parts(errors, features)
    else:
        place = {record.path: number for number, record in enumerate(images)}
        parts += _parts_without_rows(images, parts)
    if truth is not None:
        parts = [replace(part, label=truth.get(part.file, "")) for part in parts]
    known = model.is_training(features.keys)
    n_unread = len(parts) - len(features)
    unread = np.full((n_unread, len(model.classes)), np.nan)
    # An adaptation shifts the probabilities of a file, not those of its parts.
    p = np.vstack([model.original().predict_proba(features), unread])
    order = sorted(range(len(parts)), key=lambda i: _place(parts[i].path, place))
    parts, p = [parts[i] for i in order], p[order]
    abstention = model.abstention_in_force
    if average is None:
        paths, labels = [part.path for part in parts], [part.label for part in parts]
        names = features.paths[known]
        return Predictions(
            paths, model.adapted(p), model.classes, labels, errors, model.threshold,
            training=frozenset(names.tolist()), abstention=abstention,
        )  # fmt: skip
    paths, p = by_file(p, [part.file for part in parts], average)
    label_of = {part.file: part.label for part in reversed(parts)}
    of_file: dict[str, list[str]] = {}
    for part in parts:
        of_file.setdefault(part.file, []).append(errors.get(part.path, ""))
    messages = {file: text for file, texts in of_file.items() if (text := _message(texts))}
    labels = [label_of[path] for path in paths]
    return Predictions(
        paths, model.adapted(p), model.classes, labels, messages, model.threshold,
        training=frozenset(features.files[known].tolist()), abstention=abstention,
    )  # fmt: skip


def files_of(features: FeatureSet) -> list[str]:
    """List the distinct files of a feature set. Files without any row come last."""
    parts = _parts_with_rows(features)
    parts += _failed_parts([failure.path for failure in features.failures], features)
    return list(dict.fromkeys(part.file for part in parts))


def _parts_with_rows(features: FeatureSet) -> list[_Part]:
    rows = zip(
        features.paths.tolist(), features.files.tolist(), features.labels.tolist(), strict=True
    )
    return [_Part(*row) for row in rows]


def _place(path: str, place: Mapping[str, int]) -> int:
    """Return the position of an image in the source, to sort by. Other images come last."""
    return place.get(path, place.get(record_path(path), len(place)))


def _parts_without_rows(images: ImageSource, rows: Sequence[_Part]) -> list[_Part]:
    """List the images of a source that have no row."""
    seen = {path for part in rows for path in (part.path, record_path(part.path))}
    return [
        _Part(record.path, dict(record.columns).get("file", record.path), record.label)
        for record in images
        if record.path not in seen
    ]


def _failed_parts(paths: Iterable[str], features: FeatureSet) -> list[_Part]:
    """Convert the paths of failures to parts of files.

    A feature file stores only the path of a failure. The path of a frame, face or view ends in
    ``@`` or ``#`` and a name, but so may the path of a whole file. The failure is a part if this
    name is that of a frame, a face or a view of the feature set. It is also a part if the path
    before ``@`` or ``#`` is a file with rows. Otherwise, the failure is a whole file.
    """
    files = set(features.files.tolist())
    views = set(features.columns.get("view", np.array([], dtype=np.str_)).tolist()) - {""}
    parts = []
    for path in paths:
        file = path
        while split := re.fullmatch(r"(.+)([#@][^#@]*)", file, re.DOTALL):
            before, end = split.groups()
            if before not in files and end[1:] not in views and not _FRAME_OR_FACE.fullmatch(end):
                break
            file = before
        parts.append(_Part(path, file, ""))
    return parts


def _message(errors: Sequence[str]) -> str:
    """Combine the errors of a file's parts into one message. A readable part has an empty error."""
    present = [text for text in errors if text]
    if len(errors) < 2 or not present:
        return "".join(present)
    return f"{len(present)} of {len(errors)} parts could not be read. The first error: {present[0]}"
