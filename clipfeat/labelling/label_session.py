"""State of one person's labelling in a running application."""

import getpass
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Condition, Thread

import numpy as np

from clipfeat.errors import ClipfeatError, DataError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.features.decisions import ClassRecord, Decision
from clipfeat.features.relabelling import relabelled
from clipfeat.labelling.decided_images import DecidedImages
from clipfeat.labelling.label_log import (
    append_decisions,
    checked_name,
    now,
    read_classes,
    read_decisions,
)
from clipfeat.labelling.label_state import LabelState, QueuedImage
from clipfeat.labelling.merging import MergedLabels, merged_labels
from clipfeat.labelling.queue import LabelQueue, label_queue

QUEUE = 100
"""Number of images in the queue of an application."""


class LabelSession:
    """Decisions of one person, and the queue of the images to label next.

    Each decision is on the disk when the method returns. The queue is computed in a thread. The
    methods may be called from several threads.

    Parameters
    ----------
    features : FeatureSet
        Features with one row for each file.
    file : path
        File of decisions. Other people may append to it at the same time.
    annotator : str
        Name of the person.
    name : str
        Name of the feature file. The file of decisions keeps the order of this person's classes
        for each name.
    seed : int
        Random seed of the queue.

    Raises
    ------
    RefusedFileError
        If the file exists, but is not a file of decisions.
    UsageError
        If the name of the person is empty or has control characters.
    """

    def __init__(
        self, features: FeatureSet, file: str | Path, annotator: str, *, name: str = "features",
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.features = features
        self.file = Path(file)
        self.annotator = checked_name(annotator, "name of the annotator")
        self._name = name
        self._seed = seed
        self._images = DecidedImages(features)
        self._paths: list[str] = features.files.tolist()
        self._row_of = {path: row for row, path in enumerate(self._paths)}
        self._changed = Condition()
        self._n_others = 0
        self._decisions = self._read()
        self._merged: MergedLabels | None = None
        self._labels: dict[str, str] = {}
        self._recorded = self._recorded_classes()
        self._classes = list(dict.fromkeys([*self._recorded, *self.features.classes]))
        self._skipped: set[str] = set()
        self._waiting: list[QueuedImage] = []
        self._n_fitted = 0
        self._is_fitting = False
        self._error = ""

    @property
    def classes(self) -> list[str]:
        """Names of the classes. A new class comes last, so that the keys of the others stay.

        At first, these are the classes of the features. The file of decisions records the order, so
        that it is the same after a restart, also if the features then have other classes.
        """
        with self._changed:
            given = (one.label for one in self._decisions if not one.is_undo)
            self._classes = list(dict.fromkeys([*self._classes, *given]))
            return list(self._classes)

    def add_class(self, name: str) -> None:
        """Add a class without images, and record it.

        Raises
        ------
        UsageError
            If the name is empty, or has control characters.
        StorageError
            If the class cannot be recorded. It is then not added.
        """
        with self._changed:
            self._append([], checked_name(name, "label"))

    def decide(self, row: int, label: str) -> None:
        """Label an image, and save the decision.

        Raises
        ------
        UsageError
            If there is no such row, or the name of the class is not allowed.
        StorageError
            If the decision cannot be saved. It then does not count.
        """
        name = label if label in self.classes else checked_name(label, "label")
        self._save(self._decision(row, name))

    def undo(self) -> int:
        """Take back the last decision of this person, and return its row.

        Raises
        ------
        DataError
            If there is no decision to take back.
        StorageError
            If the undo cannot be saved. It then does not count.
        """
        with self._changed:
            path = last_decided(self._decisions, self.annotator)
            if path is None:
                raise DataError("there is no decision to undo")
            row = self._row_of[path]
            self._save(self._decision(row, "", is_undo=True))
            self._skipped.discard(path)
            others = [one for one in self._waiting if one.row != row]
            again = [one for one in self._waiting if one.row == row] or [QueuedImage(row, path)]
            self._waiting = [*again, *others]
        return row

    def skip(self, row: int) -> None:
        """Leave an image out of the queue until the session ends."""
        path = self._path(row)
        with self._changed:
            self._skipped.add(path)

    def refit(self) -> None:
        """Fit the classifier on all labels in a thread, and replace the queue when it is done.

        Decisions of other people since the last fit are read first. If a fit is running, nothing
        happens.
        """
        with self._changed:
            if self._is_fitting:
                return
            self._is_fitting = True
        Thread(target=self._refit, daemon=True, name="label queue").start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no queue is being computed. Return False if `timeout` seconds pass first."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_fitting, timeout)

    def state(self) -> LabelState:
        """Return the state of the page."""
        with self._changed:
            own = self._own()
            pending = [
                one
                for one in self._waiting
                if one.path not in own and one.path not in self._skipped
            ]
            labels = self.labels()
            known = self.features.y >= 0  # a new array
            rows = [self._row_of[path] for path in labels]
            known[rows] = [bool(label) for label in labels.values()]
            return LabelState(
                self.annotator, self.classes, dict(Counter(own.values())), int(known.sum()),
                len(self.features), pending, self._n_fitted, self._is_fitting,
                last_decided(self._decisions, self.annotator) is not None, self._error,
                self._n_others,
            )  # fmt: skip

    def merged(self) -> MergedLabels:
        """Return the labels of all people for images of the features."""
        with self._changed:
            if self._merged is None:
                self._merged = merged_labels(self._decisions)
                self._labels = self._merged.labels
            return self._merged

    def labels(self) -> dict[str, str]:
        """Return the label of each image about which somebody has decided.

        A new dictionary is returned after each change, so that two results can be compared with
        ``is``.
        """
        with self._changed:
            self.merged()
            return self._labels

    def label_of(self, row: int) -> str:
        """Return the label of an image from the decisions, or else from the features."""
        code = int(self.features.y[row])
        own = self.features.classes[code] if code >= 0 else ""
        return self.labels().get(self._path(row), own)

    def _own(self) -> dict[str, str]:
        """Return the labels of this person."""
        given = self.merged().given
        return {path: by[self.annotator] for path, by in given.items() if self.annotator in by}

    def _path(self, row: int) -> str:
        if not 0 <= row < len(self.features):
            raise UsageError(f"there is no image {row} (images: 0 to {len(self.features) - 1})")
        return self._paths[row]

    def _read(self) -> list[Decision]:
        """Read the decisions about images of the features. The file may have others."""
        decisions = read_decisions(self.file)
        others = filter(self._images.has_another, decisions)
        self._n_others = len({one.path for one in others if not one.is_undo})
        return [one for one in decisions if self._images.has(one)]

    def _recorded_classes(self) -> list[str]:
        """Read the classes that this person has used for these features, in their order."""
        own = (self._name, self.annotator)
        records = read_classes(self.file)
        return [one.label for one in records if (one.features, one.annotator) == own]

    def _decision(self, row: int, label: str, *, is_undo: bool = False) -> Decision:
        path, key = self._path(row), self._images.key(row)
        return Decision(path, label, self.annotator, now(), is_undo, key)

    def _save(self, decision: Decision) -> None:
        with self._changed:
            self._append([decision], decision.label)
            self._decisions.append(decision)
            self._merged = None

    def _append(self, decisions: Sequence[Decision], label: str) -> None:
        """Append decisions, after the classes that are not recorded yet.

        `label` is the class of the decisions, or empty.
        """
        classes = list(dict.fromkeys([*self.classes, *filter(None, [label])]))
        recorded = set(self._recorded)
        new = [one for one in classes if one not in recorded]
        records = [ClassRecord(self._name, one, self.annotator) for one in new]
        if decisions or records:
            append_decisions(self.file, decisions, records)
        self._recorded += new
        self._classes = classes

    def _refit(self) -> None:
        queue: LabelQueue | None = None
        error = ""
        try:
            with self._changed:
                self._decisions = self._read()
                self._merged = None
                data = relabelled(self.features, self.labels())
                # A contested image has no label, but this person has labelled it already.
                without = self._skipped | self._own().keys()
            queue = label_queue(data, QUEUE, seed=self._seed, without=without)
        except (ClipfeatError, MemoryError, ValueError) as caught:
            error = str(caught) or type(caught).__name__
        finally:
            with self._changed:
                if queue is not None:
                    self._waiting = _queued(queue)
                    self._n_fitted = queue.n_labelled
                self._error = error
                self._is_fitting = False
                self._changed.notify_all()


def _queued(queue: LabelQueue) -> list[QueuedImage]:
    of_image = zip(
        queue.rows.tolist(), queue.paths.tolist(), queue.predicted.tolist(),
        [None if np.isnan(margin) else margin for margin in queue.margins.tolist()], strict=True,
    )  # fmt: skip
    return [QueuedImage(*values) for values in of_image]


def user_name() -> str:
    """Return the name of the user of this computer, or ``"unknown"``."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # there is no such user, as in some containers
        return "unknown"


def last_decided(decisions: Sequence[Decision], annotator: str) -> str | None:
    """Return the path of a person's last decision that was not taken back, or None.

    Examples
    --------
    >>> log = [Decision("1", "cat", "ann"), Decision("2", "dog", "ann"),
    ...        Decision("2", "", "ann", is_undo=True), Decision("1", "dog", "bob")]
    >>> last_decided(log, "ann")
    '1'
    """
    made: list[str] = []
    for one in decisions:
        if one.annotator != annotator:
            continue
        if not one.is_undo:
            made.append(one.path)
        elif one.path in made:
            del made[len(made) - 1 - made[::-1].index(one.path)]
    return made[-1] if made else None
