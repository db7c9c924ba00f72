"""Model file and images, or features, to predictions."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.memory import encode_all
from clipfeat.embedding.pipeline import viewed
from clipfeat.embedding.run import Progress
from clipfeat.errors import UsageError
from clipfeat.evaluate.metrics import decide, score
from clipfeat.features import FeatureSet
from clipfeat.images import open_source
from clipfeat.images.manifest import TableColumns
from clipfeat.images.record import ImageRecord, record_path
from clipfeat.images.source import ImageSource
from clipfeat.images.video.frames import FrameSampling, with_frames
from clipfeat.model import Model, load_model
from clipfeat.parts import by_file
from clipfeat.spec import EncoderSpec, titles
from clipfeat.store import load

if TYPE_CHECKING:
    import pandas as pd

    from clipfeat.embedding.views import View


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """What a model says of images; one row for every image of the source, readable or not.

    Parameters
    ----------
    paths : sequence of str
        In the source's order.
    probabilities : ndarray of shape (n_images, n_classes)
        NaN where the image could not be read.
    classes : tuple of str
        Names of the columns.
    labels : sequence of str
        What the source said the class is; empty where it did not.
    errors : mapping of str to str
        By path, why an image could not be read.
    threshold : float, optional
        Of two classes, the last is predicted where its probability is above this; else, and for
        more classes, the likeliest is.
    """

    paths: Sequence[str]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]
    labels: Sequence[str]
    errors: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None

    def __repr__(self) -> str:
        return (
            f"Predictions({len(self.paths)} images, {len(self.errors)} unreadable, "
            f"classes {', '.join(self.classes)})"
        )

    @property
    def predicted(self) -> list[str]:
        """Name of the class, by the threshold if there is one; empty where there is no image."""
        readable = ~np.isnan(self.probabilities[:, 0])
        decided = np.where(readable, decide(self.probabilities, self.threshold), len(self.classes))
        names = [*self.classes, ""]
        return [names[code] for code in decided.tolist()]

    def to_pandas(self) -> "pd.DataFrame":
        """Columns path, predicted, ``p_<class>`` for each class, label where known, error."""
        import pandas as pd

        table = pd.DataFrame({"path": list(self.paths), "predicted": self.predicted})
        for i, name in enumerate(self.classes):
            table[f"p_{name}"] = self.probabilities[:, i]
        if any(self.labels):
            table["label"] = list(self.labels)
        table["error"] = [self.errors.get(path, "") for path in self.paths]
        return table

    def scores(self) -> dict[str, float]:
        """Every metric over the readable images whose label is known and is one of `classes`.

        Empty where there are none.
        """
        code = {name: i for i, name in enumerate(self.classes)}
        y = np.array([code.get(label, -1) for label in self.labels], dtype=np.int64)
        rows = (y >= 0) & ~np.isnan(self.probabilities).any(axis=1)
        return score(y[rows], self.probabilities[rows], self.threshold) if rows.any() else {}


def predict(
    model: Model | str | Path,
    source: FeatureSet | str | Path | Sequence[str | Path],
    *,
    weights: str | Path | Sequence[str | Path] = (),
    face_weights: str | Path | None = None,
    labels: str | Path | None = None,
    columns: TableColumns = TableColumns(),
    frames: FrameSampling = FrameSampling(),
    tta: str | Path | None = None,
    average: str = "mean",
    per_part: bool = False,
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str = "auto",
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Predictions:
    """Classify images, and videos by their frames.

    Parameters
    ----------
    model : Model or path
        Fitted, or a model file.
    source : FeatureSet, path or sequence of paths
        Features, one or more feature files (nothing is computed again), or any image source.
    weights : path, or sequence of path
        Local files of weights where there is no hub: one for each of the model's encoders that
        has weights, in their order.
    face_weights : path, optional
        The face detector's weights, where the model was fitted on faces that it found.
    labels : path, optional
        A table of true labels, to score the predictions.
    columns : TableColumns
        Where a table keeps paths, labels and groups.
    frames : FrameSampling
        Which frames of a video are taken.
    tta : str or path, optional
        Views of each image that are classified beside it, as for `clipfeat.embed`.
    average : str
        How the parts of a file (frames, faces, views) become one: a name of
        `clipfeat.parts.AVERAGES`.
    per_part : bool
        Whether each part has a row of its own instead.
    batch_size, num_workers, device
        As in `clipfeat.embed`.
    progress : callable
        Told how far it is.

    Returns
    -------
    Predictions
        One row for every file; one that cannot be read says why.

    Raises
    ------
    FingerprintError
        If features are of another encoder than the model's.
    WeightsError
        If the encoder's weights are missing.
    RefusedFileError
        If the model file is damaged or no model file.
    """
    fitted = model if isinstance(model, Model) else load_model(model)
    how = None if per_part else average
    if isinstance(source, FeatureSet):
        return _of_features(fitted, source, how)
    specs = [source] if isinstance(source, str | Path) else list(source)
    if specs and all(Path(spec).suffix.lower() in {".h5", ".hdf5"} for spec in specs):
        if labels is not None:
            raise UsageError("a feature file brings its own labels: leave --labels out")
        return _of_features(fitted, load(*specs), how)
    images = with_frames(open_source(source, labels=labels, columns=columns), frames)
    if not fitted.specs:
        raise UsageError("the model was fitted on arrays, not on images: give it a FeatureSet")
    images, views = viewed(images, tta)
    features, errors = encode_for(
        fitted, images, views, weights=weights, face_weights=face_weights,
        batch_size=batch_size, num_workers=num_workers, device=device, progress=progress,
    )  # fmt: skip
    p = dict(zip(features.paths.tolist(), fitted.predict_proba(features), strict=True))
    return _assembled(fitted, [_Part.of(record) for record in images], p, errors, how)


def encode_for(
    model: Model,
    images: ImageSource,
    views: "Mapping[str, View]",
    *,
    weights: str | Path | Sequence[str | Path] = (),
    face_weights: str | Path | None = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str = "auto",
    progress: Callable[[Progress], None] = lambda progress: None,
) -> tuple[FeatureSet, dict[str, str]]:
    """Encode images by every encoder of a model.

    Parameters
    ----------
    model : Model
        Whose encoders are opened.
    images : ImageSource
        Of `views`, whatever its records name.
    views : mapping of str to View
        By name.
    weights, face_weights, batch_size, num_workers, device, progress
        As for `predict`.

    Returns
    -------
    features : FeatureSet
        A row for every image that all encoders gave one for; unlabelled.
    errors : dict of str to str
        By a record's path, why there is none.

    Raises
    ------
    FingerprintError
        If what was opened is not the model's encoder; the message says what differs.
    """
    file_of = _weights_of(model.specs, weights)
    begun = time.monotonic()
    found: list[dict[str, NDArray[np.float32]]] = []
    errors: dict[str, str] = {}
    for turn, spec in enumerate(model.specs):

        def tell(done: int, failed: int, turn: int = turn) -> None:
            total = len(images) * len(model.specs)
            encoded = turn * len(images) + done
            progress(Progress(total, encoded, 0, failed, time.monotonic() - begun))

        rows, failed = encode_all(
            images,
            spec,
            views,
            weights=file_of.get(spec),
            face_weights=face_weights,
            batch_size=batch_size,
            num_workers=num_workers,
            device=device,
            tell=tell,
        )
        errors |= failed
        found.append(rows)
    whole = [path for path in found[0] if all(path in rows for rows in found[1:])]
    X = np.empty((len(whole), sum(spec.n_features for spec in model.specs)), dtype=np.float32)
    for i, path in enumerate(whole):
        X[i] = np.concatenate([rows[path] for rows in found])
    unknown = np.full(len(whole), -1, dtype=np.int64)
    paths = np.array(whole, dtype=np.str_)
    return FeatureSet(X, unknown, (), paths, np.zeros(len(whole), "S32"), specs=model.specs), errors


@dataclass(frozen=True)
class _Part:
    """A record of a source: a whole file, or a frame or view of one."""

    path: str
    file: str
    label: str

    @classmethod
    def of(cls, record: ImageRecord) -> "_Part":
        return cls(record.path, dict(record.columns).get("file", record.path), record.label)


def _assembled(
    model: Model,
    parts: Sequence[_Part],
    p: Mapping[str, NDArray[np.float64]],
    errors: Mapping[str, str],
    average: str | None,
) -> Predictions:
    """Predictions in the order of the parts; of each file once, where an average is given.

    A part may be in `p` as several faces.
    """
    faces: dict[str, list[str]] = {}
    for path in p:
        faces.setdefault(record_path(path), []).append(path)
    rows = [(path, part) for part in parts for path in faces.get(part.path, [part.path])]
    unread = np.full(len(model.classes), np.nan)
    values = np.array([p.get(path, unread) for path, _ in rows]).reshape(-1, len(model.classes))
    if average is None:
        paths, labels = [path for path, _ in rows], [part.label for _, part in rows]
        return Predictions(paths, values, model.classes, labels, dict(errors), model.threshold)
    paths, values = by_file(values, [part.file for _, part in rows], average)
    label_of = {part.file: part.label for part in reversed(parts)}
    of_file: dict[str, list[str]] = {}
    for part in parts:
        of_file.setdefault(part.file, []).append(errors.get(part.path, ""))
    said = {file: text for file, texts in of_file.items() if (text := _said(texts))}
    labels = [label_of[path] for path in paths]
    return Predictions(paths, values, model.classes, labels, said, model.threshold)


def _said(errors: Sequence[str]) -> str:
    """What is said of a file, by the errors of its parts."""
    bad = [text for text in errors if text]
    if len(errors) < 2 or not bad:
        return "".join(bad)
    return f"{len(bad)} of {len(errors)} parts: {bad[0]}"


def _of_features(model: Model, features: FeatureSet, average: str | None) -> Predictions:
    files = features.files.tolist()
    known = set(files)
    errors = {f.path: f"{f.reason}: {f.message}" for f in features.failures}
    ends = {path: max(path.rpartition(mark)[0] for mark in "#@") for path in errors}
    parts = [
        *map(_Part, features.paths.tolist(), files, features.labels.tolist()),
        *(_Part(path, end if end in known else path, "") for path, end in ends.items()),
    ]
    probabilities = model.predict_proba(features)
    p = dict(zip(features.paths.tolist(), probabilities, strict=True))
    return _assembled(model, parts, p, errors, average)


def _weights_of(
    specs: Sequence[EncoderSpec], weights: str | Path | Sequence[str | Path]
) -> dict[EncoderSpec, str]:
    """The file of weights of each encoder that has some."""
    files = [str(weights)] if isinstance(weights, str | Path) else [str(one) for one in weights]
    weighted = [spec for spec in specs if spec.weights]
    if files and len(files) != len(weighted):
        raise UsageError(
            f"the model has {len(weighted)} encoders with weights ({', '.join(titles(weighted))}), "
            f"{len(files)} --weights were given: give one for each, in this order"
        )
    return dict(zip(weighted, files, strict=False))
