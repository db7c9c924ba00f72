"""The encoders of a model, opened once, which encode images from several threads.

Images are read, decoded, encoded and joined by the same functions as in `clipfeat.predict`, so the
features are the same. Each image is decoded once for all encoders that need the same decoded size.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from clipfeat.embedding.in_memory import feature_set, side_by_side, weights_of
from clipfeat.embedding.preparing import Pictures, Ready, prepare
from clipfeat.embedding.workers import Encoded, WorkerPool
from clipfeat.encoders import open_encoder
from clipfeat.encoders.known_weights import remember_weights
from clipfeat.encoders.registry import options_of
from clipfeat.errors import DecodeError, ImageError, UsageError
from clipfeat.features import Failure, FeatureSet
from clipfeat.images.decode import Decoded
from clipfeat.images.faces import finder_of
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.readers import FileInMemory
from clipfeat.images.record import ImageRecord
from clipfeat.model import Model
from clipfeat.spec import check_same
from clipfeat.store.format import Row
from clipfeat.system.stopwatch import Stopwatch

if TYPE_CHECKING:
    from clipfeat.embedding.views import View
    from clipfeat.encoders.encoder import Encoder
    from clipfeat.images.faces.finder import FaceFinder
    from clipfeat.spec import EncoderSpec

MANY = 10**6
"""Number of images to expect, for `open_encoder`. For many images, it picks the fastest runtime."""


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image that is decoded and preprocessed for each encoder.

    Parameters
    ----------
    path : str
        Name of the image, unique within a batch.
    results : tuple of (list of Ready, or Failure)
        For each encoder, the pictures (views and faces) of the image, or a failure.
    """

    path: str
    results: tuple[list[Ready] | Failure, ...]


@dataclass(frozen=True, eq=False)
class _Opened:
    """An encoder with its face finder and its workers."""

    spec: "EncoderSpec"
    encoder: "Encoder"
    faces: "FaceFinder | None"
    workers: WorkerPool


class ModelEncoders:
    """The encoders of a model. Several threads may use them concurrently.

    Parameters
    ----------
    model : Model
        A model with encoders.
    decoder : IsolatedDecoder
        Decodes the images.
    weights, face_weights, device
        The arguments of `clipfeat.predict`.
    batch_size : int, optional
        As in `EmbedResources`.

    Raises
    ------
    FingerprintError
        If an opened encoder differs from the encoder that the model was fitted with.
    UsageError
        If the model was fitted on arrays, or if `weights` has too few or too many files.
    WeightsError
        If weights are missing.
    """

    def __init__(
        self,
        model: Model,
        decoder: IsolatedDecoder,
        *,
        weights: str | Path | Sequence[str | Path] = (),
        face_weights: str | Path | None = None,
        device: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        if not model.specs:
            raise UsageError(
                "the model was fitted on arrays, so it has no encoder for images. Fit a model on a "
                "feature file"
            )
        files = weights_of(model.specs, weights, model.weight_files)
        detector = str(face_weights) if face_weights else None
        self.decoder = decoder
        self._watch = Stopwatch()
        self._opened = [
            self._open(spec, files.get(spec.weights), detector, device, batch_size)
            for spec in model.specs
        ]

    def _open(
        self, spec: "EncoderSpec", weights: str | None, detector: str | None, device: str,
        batch_size: int | None,
    ) -> _Opened:  # fmt: skip
        options = options_of(spec, weights=weights, device=device)
        encoder = open_encoder(spec.name, options, n_images=MANY)
        check_same([spec], [replace(encoder.spec, faces=spec.faces)])
        if weights and spec.weights:
            remember_weights(spec.weights, weights)
        exact = replace(options, precision="fp32")
        workers = WorkerPool(
            encoder, lambda: open_encoder(spec.name, exact), self._watch, batch_size
        )
        faces = finder_of(spec.faces, detector) if spec.faces else None
        return _Opened(spec, encoder, faces, workers)

    @property
    def batch_size(self) -> int:
        """Number of images in a forward pass. It may change until the fastest size is found."""
        return min(one.workers.batch.size for one in self._opened)

    @property
    def n_workers(self) -> int:
        """Number of batches that can be encoded concurrently."""
        return min(one.workers.n_workers for one in self._opened)

    def features(
        self, name: str, data: bytes, views: "Mapping[str, View] | None" = None
    ) -> FeatureSet:
        """Encode one image, or views of it.

        Parameters
        ----------
        name : str
            Name of the image, for the paths of the rows.
        data : bytes
            The image file.
        views : mapping of str to View, optional
            Views by name. The image is decoded once, and each view of it is encoded.

        Returns
        -------
        FeatureSet
            A row for each view and face. If the image cannot be encoded, the set has no rows, and
            its `failures` hold the reason.
        """
        return self.encode([self.prepare(name, data, views)], 1)

    def prepare(
        self, path: str, data: bytes, views: "Mapping[str, View] | None" = None
    ) -> PreparedImage:
        """Decode and preprocess an image for each encoder. See `features`."""
        if not data:
            failure = Failure(path, "ReadError", "the file is empty")
            return PreparedImage(path, (failure,) * len(self._opened))
        record = ImageRecord(path, FileInMemory(data))
        with ExitStack() as stack:
            by_side: dict[int, Decoded | DecodeError] = {}

            def decoded(side: int) -> Decoded | DecodeError:
                if side not in by_side:
                    try:
                        by_side[side] = stack.enter_context(self.decoder.decoded(data, side))
                    except DecodeError as error:
                        by_side[side] = error
                return by_side[side]

            return PreparedImage(
                path,
                tuple(
                    self._prepare(one, record, views or {}, decoded(one.spec.least_side))
                    for one in self._opened
                ),
            )

    def _prepare(
        self, one: _Opened, record: ImageRecord, views: "Mapping[str, View]",
        decoded: Decoded | DecodeError,
    ) -> list[Ready] | Failure:  # fmt: skip
        if isinstance(decoded, ImageError):
            return Failure(record.path, type(decoded).__name__, str(decoded))
        if views and one.spec.is_scaled:
            raise UsageError(
                f"views need images in full size, but {one.spec.title} reduces large JPEG images. "
                "Use a model that was fitted without --decode scaled"
            )
        given = nullcontext(decoded)
        pictures = Pictures(views, one.faces, every=bool(views))
        result = prepare(
            record, one.encoder.preprocess, pictures, lambda row: False, lambda data: given,
            lambda data: given, self._watch,
        )  # fmt: skip
        if isinstance(result, Failure):
            return result
        return [item for item in result if isinstance(item, Ready)]

    def encode(self, images: Sequence[PreparedImage], n_concurrent: int) -> FeatureSet:
        """Encode prepared images.

        Parameters
        ----------
        images : sequence of PreparedImage
            The images, at least one.
        n_concurrent : int
            Number of threads that encode at the same time.

        Returns
        -------
        FeatureSet
            The rows of all images, and their failures.
        """
        sets = []
        for number, one in enumerate(self._opened):
            results = [image.results[number] for image in images]
            pictures = [result for result in results if not isinstance(result, Failure)]
            failures = [result for result in results if isinstance(result, Failure)]
            rows: list[Row] = []
            X = np.empty((0, one.spec.n_features), dtype=np.float32)
            if pictures:
                for item in one.workers.encode(pictures, n_concurrent, Event()):
                    if isinstance(item, Encoded):
                        rows, X = item.rows, item.features
                    else:
                        failures.append(item)
            sets.append(feature_set(one.spec, rows, X, failures))
        return side_by_side(sets)
