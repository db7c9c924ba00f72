"""Open a model for a server, with its encoders and its queue."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.images.isolated import default_workers
from clipfeat.images.pixel_arrays import ppm
from clipfeat.model import Model
from clipfeat.serving.batching import Batcher
from clipfeat.serving.decoding import LimitedDecoder
from clipfeat.serving.encoding import ModelEncoders
from clipfeat.serving.limits import ServingLimits
from clipfeat.serving.page_parts import PageParts
from clipfeat.serving.server import Serving
from clipfeat.serving.training_images import TrainingImages
from clipfeat.system.files import storage_errors


@contextmanager
def open_serving(
    model: Model,
    limits: ServingLimits = ServingLimits(),
    *,
    weights: Sequence[str | Path] = (),
    face_weights: str | Path | None = None,
    device: str = "auto",
    resources: EmbedResources = EmbedResources(),
    training: TrainingImages | None = None,
    allow_remote: bool = False,
    keep: Path | None = None,
) -> Iterator[Serving]:
    """Open the encoders and the queue of a server, and predict one image to warm them up.

    On exit, the images in the queue are predicted before the queue and the encoders close.

    Parameters
    ----------
    model : Model
        A model with one or more encoders.
    limits : ServingLimits
        Limits of requests and of the queue.
    weights, face_weights, device, resources
        The arguments of `clipfeat.predict`.
    training : TrainingImages, optional
        The images that the model was fitted on. The page shows the nearest ones.
    allow_remote, keep
        The arguments of `Serving`.

    Raises
    ------
    FingerprintError
        If an opened encoder differs from the encoder that the model was fitted with.
    StorageError
        If the folder `keep` cannot be created.
    UsageError
        If the model was fitted on arrays.
    WeightsError
        If weights are missing.
    """
    if keep is not None:
        with storage_errors(f"creating {keep}"):
            keep.mkdir(parents=True, exist_ok=True)
    n_threads = resources.num_workers or default_workers()
    with LimitedDecoder(limits.pixels) as decoder:
        decoder.warm_up(n_threads)
        encoders = ModelEncoders(
            model,
            decoder,
            weights=weights,
            face_weights=face_weights,
            device=device,
            batch_size=resources.batch_size,
        )
        with Batcher(model, encoders, limits.queue, n_threads) as batcher:
            noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            for future in batcher.submit([ppm(noise)] * encoders.n_workers):
                future.result()  # for a model of faces, this is an answer with an error
            with PageParts(model, encoders, training) as parts:
                yield Serving(
                    model, encoders, batcher, limits, parts, allow_remote=allow_remote, keep=keep
                )
