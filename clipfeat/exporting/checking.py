"""Comparison of an exported ONNX graph with its model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.onnx_export import as_bytes
from clipfeat.errors import DataError, EmptySourceError
from clipfeat.exporting.notes import verdicts
from clipfeat.features import FeatureSet
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.memory import ImageInput
from clipfeat.images.samples import Sample, decoded_samples, sample_records
from clipfeat.images.source_options import SourceOptions
from clipfeat.model import Model
from clipfeat.model.codecs import encode
from clipfeat.notebook.card import counted
from clipfeat.prediction.predicting import open_images
from clipfeat.prediction.predictions import Predictions
from clipfeat.system.progress import Phase, Report

N_IMAGES = 200
TOLERANCE = 1e-4
"""Largest accepted difference of a probability."""
MOST_VERDICTS = 0.01
"""Largest accepted share of images with different verdicts of the graph and the model.

If a probability is very close to a limit, a rounding error can change the verdict."""
LEAST_RANGE = 100 * TOLERANCE
"""Smallest accepted range of the probabilities, because constant ones would hide differences."""
BATCH = 16
GENERATED = "random images"
"""Name of the images that `generated_images` makes."""
ABRUPT = {
    "BoostedTreesClassifier": "trees",
    "OrderedForestClassifier": "trees",
    "CappedNeighborsClassifier": "nearest neighbours",
}
"""Kinds of nodes whose probabilities can jump, with their names for a message."""
ISOTONIC = "isotonic calibration"


@dataclass(frozen=True)
class Agreement:
    """Comparison of the probabilities and the verdicts of a graph and of its model.

    A verdict is the predicted class, and whether the model is unsure.

    Parameters
    ----------
    difference : float
        Largest difference of a probability.
    n_images : int
        Number of images.
    images : str
        Origin of the images: `GENERATED`, and the name of the source if there is one.
    n_verdicts : int
        Number of images with different verdicts.
    lowest, highest : float
        Range of the model's probabilities of one class. This is the class with the widest range.
    n_left_out : int
        Number of images of the source that cannot be read, or that the model was trained on.
    """

    difference: float
    n_images: int
    images: str
    n_verdicts: int = 0
    lowest: float = 0.0
    highest: float = 1.0
    n_left_out: int = 0

    def __str__(self) -> str:
        text = (
            f"the largest difference from the model is {self.difference:.1e} on "
            f"{counted(self.n_images, 'image')} ({self.images}), with probabilities from "
            f"{self.lowest:.3g} to {self.highest:.3g}, and {self.n_verdicts} verdicts differ"
        )
        if self.n_left_out:
            text += (
                f". {counted(self.n_left_out, 'image')} of --check were left out, because they are "
                "training images or cannot be read"
            )
        return text


def check_agreement(
    data: bytes,
    model: Model,
    description: Mapping[str, Any],
    encoders: Sequence[Encoder],
    source: ImageInput | None,
    report: Report,
) -> Agreement:
    """Compare a graph with its model, on random images and on images of a source.

    Training images are left out. With nearest neighbours, each training image is its own
    neighbour, so even a wrong graph could agree with the model.

    Parameters
    ----------
    data : bytes
        The content of the ONNX file.
    model : Model
        The model.
    description : mapping
        The classes and limits of the graph. See `clipfeat.exporting.notes.describe`.
    encoders : sequence of Encoder
        The encoders of the model, in the order of ``model.specs``.
    source : path, sequence of paths, images in memory, ImageSource or None
        Further images. At most `N_IMAGES` of them are used.
    report : callable
        Called with a `Phase` for each batch.

    Raises
    ------
    EmptySourceError
        If no image of the source can be read.
    DataError
        If a probability differs by more than `TOLERANCE`, or too many verdicts differ. If the
        probabilities hardly vary, so that the comparison would prove nothing.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    listed = None if source is None else open_images(model, source, SourceOptions())
    records = [] if listed is None else sample_records(list(listed), N_IMAGES)
    new_images = _NewImages(model)
    size = max(max(spec.input_size) for spec in model.specs)
    results, n_images = [], 0
    with IsolatedDecoder() as decoder:
        images = chain(
            generated_images(size, N_IMAGES), new_images.of(decoded_samples(records, decoder))
        )
        for batch in _batches(images, encoders):
            report(Phase("checking", n_images, N_IMAGES + len(records), "images"))
            pixels = [
                np.stack([as_bytes(one, encoder.spec) for one in tensors])
                for tensors, encoder in zip(batch, encoders, strict=True)
            ]
            (of_graph,) = session.run(None, dict(zip(names, pixels, strict=True)))
            rows = [encoder.encode(t) for t, encoder in zip(batch, encoders, strict=True)]
            results.append((of_graph, _probabilities(model, np.hstack(rows))))
            n_images += len(of_graph)
    if listed is not None and not new_images.n_read:
        raise EmptySourceError(f"no image of {source} can be read. Pass other images to --check")
    graph, expected = (np.vstack(parts) for parts in zip(*results, strict=True))
    difference = float(np.abs(graph - expected).max())
    widest = int(np.argmax(np.ptp(expected, axis=0)))
    agreement = Agreement(
        difference if np.isfinite(difference) else np.inf,
        n_images,
        GENERATED if n_images == N_IMAGES or listed is None else f"{GENERATED} and {listed.name}",
        _other_verdicts(model, description, graph, expected),
        float(expected[:, widest].min()),
        float(expected[:, widest].max()),
        len(records) - (n_images - N_IMAGES),
    )
    _check(agreement, model)
    return agreement


class _NewImages:
    """Filter that leaves out the training images of a model.

    Parameters
    ----------
    model : Model
        The model.
    """

    def __init__(self, model: Model) -> None:
        self._training = set(model.training_keys.tolist())
        self.n_read = 0

    def of(self, samples: Iterator[Sample]) -> Iterator[RGB]:
        """Yield the pixels of samples that are not training images."""
        for sample in samples:
            self.n_read += 1
            if sample.key.hex().encode() not in self._training:
                yield sample.pixels


def _other_verdicts(
    model: Model,
    description: Mapping[str, Any],
    graph: NDArray[np.floating],
    expected: NDArray[np.float64],
) -> int:
    """Count the images for which the graph and `clipfeat.predict` give different verdicts."""
    abstention = model.abstention if model.adaptation is None else None
    predictions = Predictions(
        [""] * len(expected), expected, model.classes, [""] * len(expected),
        threshold=model.threshold, abstention=abstention,
    )  # fmt: skip
    predicted, unsure = verdicts(description, graph)
    names = np.array(model.classes)[predicted]
    differs = (names != np.array(predictions.predicted)) | (unsure != predictions.unsure)
    return int(differs.sum())


def _check(agreement: Agreement, model: Model) -> None:
    """Refuse a graph that differs from its model, and a comparison that proves nothing."""
    kinds = _kinds(encode(model.estimator)[0])
    if not agreement.difference <= TOLERANCE:
        reason = f"at most {TOLERANCE:g} is accepted"
    elif agreement.n_verdicts > MOST_VERDICTS * agreement.n_images:
        reason = f"at most {MOST_VERDICTS:.0%} of the verdicts may differ"
    elif agreement.highest - agreement.lowest < LEAST_RANGE and "DummyClassifier" not in kinds:
        raise DataError(
            "the model is not exported, because the comparison with the ONNX graph proves nothing: "
            f"the probabilities of the model hardly vary ({agreement}). Pass images of all classes "
            "to --check, but no training images"
        )
    else:
        return
    jumps = sorted({ABRUPT.get(kind, kind) for kind in kinds} & {*ABRUPT.values(), ISOTONIC})
    advice = (
        f"With {' and '.join(jumps)}, a rounding error in the features can change a probability "
        "abruptly. Fit the model with logreg, svm or mlp, without isotonic calibration"
        if jumps
        else "The classifier is continuous, so the features of the encoder must differ in the "
        "graph. Use another encoder"
    )
    raise DataError(f"the model is not exported, because {agreement}, and {reason}. {advice}")


def _kinds(fields: Any) -> set[str]:
    """Return the kinds of a node and of all nested nodes, and `ISOTONIC` if one has this method."""
    if isinstance(fields, list):
        return set().union(*map(_kinds, fields))
    if not isinstance(fields, Mapping):
        return set()
    own = {str(fields["kind"])} if "kind" in fields else set()
    if fields.get("method") == "isotonic":
        own.add(ISOTONIC)
    return own.union(*map(_kinds, fields.values()))


def _batches(images: Iterator[RGB], encoders: Sequence[Encoder]) -> Iterator[list[list[Any]]]:
    """Preprocess the images. Each batch has a list of tensors for each encoder."""
    batch: list[list[Any]] = [[] for _ in encoders]
    for image in images:
        for tensors, encoder in zip(batch, encoders, strict=True):
            tensors.append(encoder.preprocess(image))
        if len(batch[0]) == BATCH:
            yield batch
            batch = [[] for _ in encoders]
    if batch[0]:
        yield batch


def _probabilities(model: Model, X: NDArray[np.float32]) -> NDArray[np.float64]:
    n = len(X)
    features = FeatureSet(
        X=X,
        y=np.full(n, -1, dtype=np.int64),
        classes=model.classes,
        paths=np.array([str(i) for i in range(n)]),
        keys=np.array([f"{i:032x}".encode() for i in range(n)]),
        specs=model.specs,
    )
    return model.predict_proba(features)


def generated_images(size: int, n: int) -> Iterator[RGB]:
    """Generate images of noise at all scales, of several shapes, colours and contrasts.

    Parameters
    ----------
    size : int
        Reference size in pixels. Each side of an image is 0.5 to 1.5 times as long.
    n : int
        Number of images.
    """
    rng = np.random.default_rng(0)
    for _ in range(n):
        least = max(8, size // 2)
        height, width = (
            int(side) for side in rng.integers(least, max(2 * least, size * 3 // 2), 2)
        )
        pixels = np.zeros((height, width, 3))
        for scale in 2 ** np.arange(6):
            shape = (height // scale + 1, width // scale + 1, 3)
            noise = rng.normal(size=shape).repeat(scale, 0).repeat(scale, 1)
            pixels += noise[:height, :width] * rng.uniform(0, 40)
        yield np.clip(pixels + rng.uniform(0, 255, 3), 0, 255).astype(np.uint8)
