"""Model file and images, or features, to predictions."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.in_memory import encode_all
from clipfeat.embedding.pipeline import viewed
from clipfeat.embedding.run import Progress
from clipfeat.errors import UsageError
from clipfeat.evaluate.metrics import decide, score
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import by_file
from clipfeat.images import open_source
from clipfeat.images.manifest import TableColumns
from clipfeat.images.record import record_path
from clipfeat.images.source import ImageSource
from clipfeat.images.video.frames import FrameSampling, with_frames
from clipfeat.model import Model, load_model
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
        rows = self._scored
        if not rows.any():
            return {}
        return score(self._true[rows], self.probabilities[rows], self.threshold)

    @property
    def n_scored(self) -> int:
        """How many images `scores` is over."""
        return int(self._scored.sum())

    @property
    def _true(self) -> NDArray[np.int64]:
        code = {name: i for i, name in enumerate(self.classes)}
        return np.array([code.get(label, -1) for label in self.labels], dtype=np.int64)

    @property
    def _scored(self) -> NDArray[np.bool_]:
        unread = np.isnan(self.probabilities).any(axis=1)
        scored: NDArray[np.bool_] = ~unread & (self._true >= 0)
        return scored


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
        `clipfeat.features.by_file.AVERAGES`.
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
    rows, errors = encoded(
        fitted,
        images,
        views,
        weights=weights,
        face_weights=face_weights,
        batch_size=batch_size,
        num_workers=num_workers,
        device=device,
        progress=progress,
    )
    return assembled(fitted, parts_of(images), probabilities(fitted, rows), errors, how)


def encoded(
    model: Model,
    images: ImageSource,
    views: Mapping[str, "View"],
    *,
    every_view: bool = False,
    weights: str | Path | Sequence[str | Path] = (),
    progress: Callable[[Progress], None] = lambda progress: None,
    **how: Any,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Encode images by every encoder of a model.

    Parameters
    ----------
    model : Model
        Fitted on features of images.
    images, views, every_view, how
        As `clipfeat.embedding.in_memory.encode_all` takes them.
    weights, progress
        As for `predict`.

    Returns
    -------
    rows : dict of str to ndarray of shape (n_features,)
        By path, of what every encoder could encode, the encoders side by side.
    errors : dict of str to str
        By path, why the others could not be.

    Raises
    ------
    UsageError
        If there are not as many `weights` as encoders that have some.
    """
    file_of = _weights_of(model.specs, weights)
    begun = time.monotonic()
    found: list[dict[str, NDArray[np.float32]]] = []
    errors: dict[str, str] = {}
    n_images = len(images) * (len(views) if every_view else 1)
    for turn, spec in enumerate(model.specs):

        def tell(done: int, failed: int, turn: int = turn) -> None:
            total = n_images * len(model.specs)
            progress(Progress(total, turn * n_images + done, 0, failed, time.monotonic() - begun))

        rows, failed = encode_all(
            images, spec, views, every_view=every_view, weights=file_of.get(spec), tell=tell, **how
        )
        errors |= failed
        found.append(rows)
    whole = [path for path in found[0] if all(path in rows for rows in found[1:])]
    return {path: np.hstack([rows[path] for rows in found]) for path in whole}, errors


def probabilities(
    model: Model, rows: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float64]]:
    """What a model says of rows that `encoded` gave, by path."""
    if not rows:
        return {}
    X = np.stack(list(rows.values()))
    features = replace(FeatureSet.from_arrays(X, [""] * len(rows)), specs=model.specs)
    return dict(zip(rows, model.predict_proba(features), strict=True))


@dataclass(frozen=True)
class Part:
    """A record of a source: a whole file, or a frame or view of one."""

    path: str
    file: str
    label: str


def parts_of(images: ImageSource) -> list[Part]:
    """The parts that a source lists, in its order."""
    return [
        Part(record.path, dict(record.columns).get("file", record.path), record.label)
        for record in images
    ]


def assembled(
    model: Model,
    parts: Sequence[Part],
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
        *map(Part, features.paths.tolist(), files, features.labels.tolist()),
        *(Part(path, end if end in known else path, "") for path, end in ends.items()),
    ]
    p = dict(zip(features.paths.tolist(), model.predict_proba(features), strict=True))
    return assembled(model, parts, p, errors, average)


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
