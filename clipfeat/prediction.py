"""Model file and images, or features, to predictions."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.embedding.pipeline import Progress
from clipfeat.encoders import open_encoder
from clipfeat.errors import UsageError
from clipfeat.evaluate.metrics import decide, score
from clipfeat.features import FeatureSet
from clipfeat.images import open_source
from clipfeat.images.manifest import TableColumns
from clipfeat.images.source import ImageSource
from clipfeat.model import Model, load_model
from clipfeat.spec import EncoderSpec, check_same, titles
from clipfeat.store import load

if TYPE_CHECKING:
    import pandas as pd


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
    labels: str | Path | None = None,
    columns: TableColumns = TableColumns(),
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str = "auto",
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Predictions:
    """Classify images.

    Parameters
    ----------
    model : Model or path
        Fitted, or a model file.
    source : FeatureSet, path or sequence of paths
        Features, one or more feature files (nothing is computed again), or any image source.
    weights : path, or sequence of path
        Local files of weights where there is no hub: one for each of the model's encoders that
        has weights, in their order.
    labels : path, optional
        A table of true labels, to score the predictions.
    columns : TableColumns
        Where a table keeps paths, labels and groups.
    batch_size, num_workers, device
        As in `clipfeat.embed`.
    progress : callable
        Told how far it is.

    Returns
    -------
    Predictions
        One row for every image; one that cannot be read says why.

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
    if isinstance(source, FeatureSet):
        return _of_features(fitted, source)
    specs = [source] if isinstance(source, str | Path) else list(source)
    if specs and all(Path(spec).suffix.lower() in {".h5", ".hdf5"} for spec in specs):
        if labels is not None:
            raise UsageError("a feature file brings its own labels: leave --labels out")
        return _of_features(fitted, load(*specs))
    images = open_source(source, labels=labels, columns=columns)
    if not fitted.specs:
        raise UsageError("the model was fitted on arrays, not on images: give it a FeatureSet")
    files = [str(weights)] if isinstance(weights, str | Path) else [str(one) for one in weights]
    weighted = [spec for spec in fitted.specs if spec.weights]
    if files and len(files) != len(weighted):
        raise UsageError(
            f"the model has {len(weighted)} encoders with weights ({', '.join(titles(weighted))}), "
            f"{len(files)} --weights were given: give one for each, in this order"
        )
    file_of = dict(zip(weighted, files, strict=False))
    begun = time.monotonic()
    features = []
    errors: dict[str, str] = {}
    good = np.ones(len(images), dtype=bool)
    for i, spec in enumerate(fitted.specs):

        def tell(done: int, failed: int, turn: int = i) -> None:
            total = len(images) * len(fitted.specs)
            encoded = turn * len(images) + done
            progress(Progress(total, encoded, 0, failed, time.monotonic() - begun))

        X, failed = _encode_all(
            images,
            spec,
            file_of.get(spec),
            batch_size,
            num_workers,
            device,
            tell,
        )
        errors |= failed
        good &= ~np.isnan(X[:, 0])
        features.append(X)
    p = np.full((len(images), len(fitted.classes)), np.nan)
    if good.any():
        p[good] = fitted.predict_proba(
            replace(
                FeatureSet.from_arrays(np.hstack(features)[good], [""] * int(good.sum())),
                specs=fitted.specs,
            )
        )
    paths = [record.path for record in images]
    labels_of = [record.label for record in images]
    return Predictions(paths, p, fitted.classes, labels_of, errors, fitted.threshold)


def _of_features(model: Model, features: FeatureSet) -> Predictions:
    failed = {f.path: f"{f.reason}: {f.message}" for f in features.failures}
    unread = np.full((len(failed), len(model.classes)), np.nan)
    return Predictions(
        paths=[*features.paths.tolist(), *failed],
        probabilities=np.vstack([model.predict_proba(features), unread]),
        classes=model.classes,
        labels=[*features.labels.tolist(), *("" for _ in failed)],
        errors=failed,
        threshold=model.threshold,
    )


def _encode_all(
    images: ImageSource,
    spec: EncoderSpec,
    weights: str | None,
    batch_size: int | None,
    num_workers: int | None,
    device: str,
    tell: Callable[[int, int], None],
) -> tuple[NDArray[np.float32], dict[str, str]]:
    """Features of every image, NaN for those in the errors; by the very encoder of `spec`."""
    from clipfeat.embedding.stream import Encoded, Known, encode_stream
    from clipfeat.encoders.encoder import EncoderOptions

    options = replace(EncoderOptions.of_spec(spec, weights, device), n_images=len(images))
    encoder = open_encoder(spec.name, options)
    check_same([spec], [encoder.spec])
    place = {record.path: i for i, record in enumerate(images)}
    by_key: dict[bytes, int] = {}
    X = np.full((len(images), spec.n_features), np.nan, dtype=np.float32)
    errors: dict[str, str] = {}
    same: list[tuple[int, bytes]] = []
    done = 0
    stream = encode_stream(
        images,
        encoder,
        batch_size=batch_size,
        num_workers=num_workers,
        exact=lambda: open_encoder(spec.name, replace(options, precision="fp32", n_images=0)),
    )
    for item in stream:
        if isinstance(item, Encoded):
            rows = [place[row.path] for row in item.rows]
            X[rows] = item.features
            by_key |= {row.key: i for row, i in zip(item.rows, rows, strict=True)}
            done += len(rows)
        elif isinstance(item, Known):
            same.append((place[item.row.path], item.row.key))
            done += 1
        else:
            errors[item.path] = f"{item.reason}: {item.message}"
        tell(done, len(errors))
    for i, key in same:
        if key in by_key:
            X[i] = X[by_key[key]]
        else:
            errors[images.records[i].path] = "EncodingError: as its equal by bytes"
    return X, errors
