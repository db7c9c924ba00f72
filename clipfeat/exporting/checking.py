"""Comparison of an exported ONNX graph with its model."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.onnx_export import as_bytes
from clipfeat.errors import EmptySourceError, ImageError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.memory import ImageInput
from clipfeat.images.record import ImageRecord
from clipfeat.images.samples import sample_records
from clipfeat.images.source_options import SourceOptions
from clipfeat.model import Model
from clipfeat.prediction.predicting import open_images
from clipfeat.system.progress import Phase, Report

N_IMAGES = 200
TOLERANCE = 1e-4
"""Largest accepted difference of a probability."""
BATCH = 16
GENERATED = "random images"
"""Name of the images that `generated_images` makes."""


@dataclass(frozen=True)
class Agreement:
    """Comparison of the probabilities of a graph and of its model.

    Parameters
    ----------
    difference : float
        Largest difference of a probability.
    n_images : int
        Number of images.
    images : str
        Where the images come from: the name of a source, or `GENERATED`.
    """

    difference: float
    n_images: int
    images: str

    def __str__(self) -> str:
        return (
            f"the largest difference from the model is {self.difference:.1e} on {self.n_images} "
            f"images ({self.images})"
        )


def check_agreement(
    data: bytes,
    model: Model,
    encoders: Sequence[Encoder],
    source: ImageInput | None,
    report: Report,
) -> Agreement:
    """Compare a graph with its model.

    Parameters
    ----------
    data : bytes
        The content of the ONNX file.
    model : Model
        The model.
    encoders : sequence of Encoder
        The encoders of the model, in its order.
    source : path, sequence of paths, images in memory, ImageSource or None
        The images. None uses generated images.
    report : callable
        Called with a `Phase` for each batch.

    Raises
    ------
    EmptySourceError
        If no image of the source can be read.
    UsageError
        If a probability differs by more than `TOLERANCE`.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    listed = None if source is None else open_images(model, source, SourceOptions())
    if listed is None:
        images = generated_images(max(max(spec.input_size) for spec in model.specs), N_IMAGES)
        total = N_IMAGES
    else:
        records = sample_records(list(listed), N_IMAGES)
        images, total = _decoded(records), len(records)
    largest, n_images = 0.0, 0
    for batch in _batches(images, encoders):
        report(Phase("checking", n_images, total, "images"))
        pixels = [
            np.stack([as_bytes(one, encoder.spec) for one in tensors])
            for tensors, encoder in zip(batch, encoders, strict=True)
        ]
        (given,) = session.run(None, dict(zip(names, pixels, strict=True)))
        rows = [encoder.encode(t) for t, encoder in zip(batch, encoders, strict=True)]
        expected = _probabilities(model, np.hstack(rows))
        difference = float(np.abs(given - expected).max())
        largest = max(largest, difference if np.isfinite(difference) else np.inf)
        n_images += len(expected)
    if not n_images:
        raise EmptySourceError(f"no image of {source} can be read. Pass other images to --check")
    agreement = Agreement(largest, n_images, GENERATED if listed is None else listed.name)
    if not largest <= TOLERANCE:
        raise UsageError(
            f"the model is not exported, because {agreement}, and at most {TOLERANCE:g} is "
            "accepted. With trees, nearest neighbours or isotonic calibration, a rounding error in "
            "the features can change a probability abruptly. Fit the model with logreg, svm or mlp"
        )
    return agreement


def _decoded(records: Sequence[ImageRecord]) -> Iterator[RGB]:
    """Decode images, and leave out those that cannot be read."""
    with IsolatedDecoder() as decoder:
        for record in records:
            with suppress(ImageError), decoder.decoded(record.reader.read()) as decoded:
                yield decoded.pixels.copy()


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
        Reference size in pixels. The shorter side of each image is 0.5 to 1.5 times as long.
    n : int
        Number of images.
    """
    rng = np.random.default_rng(0)
    for _ in range(n):
        height, width = (int(side) for side in rng.integers(max(8, size // 2), size * 3 // 2, 2))
        pixels = np.zeros((height, width, 3))
        for scale in 2 ** np.arange(6):
            shape = (height // scale + 1, width // scale + 1, 3)
            noise = rng.normal(size=shape).repeat(scale, 0).repeat(scale, 1)
            pixels += noise[:height, :width] * rng.uniform(0, 40)
        yield np.clip(pixels + rng.uniform(0, 255, 3), 0, 255).astype(np.uint8)
