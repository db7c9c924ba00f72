"""The driver's part: what the pools are, what goes in, and what comes back."""

import logging
import pickle
import warnings
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from clipfeat.embedding.on_ray.job import Job, KnownKeys, Published, table, worker_error
from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.options import EncoderOptions
from clipfeat.errors import ClipfeatError, UsageError
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.record import ImageRecord
from clipfeat.images.samples import sample_pixels, sample_records
from clipfeat.system.ray_connection import ray_errors

MOST_RECORDS = 512  # in one task
TASKS_FOR_EACH_CPU = 4
BLOCK_BYTES = 64 * 2**20  # of preprocessed images, handed to an encoder at once
ATTEMPTS = 20
"""At opening an encoder, where workers die meanwhile: one that kills them all must end the run."""
SAFE = "what is committed is safe, the same command goes on from there"
CALLS = 1000
"""Tasks of one process: what its libraries lose of memory is lost for so long. And being a setting
of one pool alone, it keeps Ray Data from fusing the two, which are to grow each by itself."""


@dataclass(frozen=True)
class Place:
    """What one encoder takes of a machine."""

    num_cpus: int
    num_gpus: int

    @classmethod
    def of_device(cls, device: str) -> "Place":
        """One GPU where there are any, else one processor.

        Raises
        ------
        UsageError
            If a device is named, which Ray hands out, or there is no room: that would wait for
            ever.
        """
        import ray

        if "," in device or ":" in device:
            raise UsageError(f"Ray hands out the devices: --device auto, cuda or cpu, not {device}")
        there = ray.cluster_resources()
        has_gpus = there.get("GPU", 0) >= 1
        if device == "cuda" and not has_gpus:
            raise UsageError(
                "no machine of the cluster has a GPU: start one that has, or leave --device out"
            )
        wants_gpu = has_gpus and device in ("auto", "cuda")
        if there.get("CPU", 0) < (1 if wants_gpu else 2):
            raise UsageError(
                "the cluster has too few processors: one to decode by, and where there is no GPU "
                "another to encode by"
            )
        return cls(num_cpus=0, num_gpus=1) if wants_gpu else cls(num_cpus=1, num_gpus=0)


def open_remotely(
    name: str, options: EncoderOptions, records: Sequence[ImageRecord], n_images: int
) -> Encoder:
    """Open an encoder where it will run, to learn what it is.

    Parameters
    ----------
    name, options
        As `clipfeat.encoders.open_encoder` takes them.
    records : sequence of ImageRecord
        Of the source, by some of which ``"auto"`` chooses a precision.
    n_images : int
        As in `clipfeat.encoders.open_encoder`.

    Returns
    -------
    Encoder
        With everything but `forward`, which only workers have.
    """
    import ray

    place = Place.of_device(options.device)
    remote = ray.remote(num_cpus=place.num_cpus, num_gpus=place.num_gpus, max_retries=ATTEMPTS - 1)
    samples = [reachable(record) for record in sample_records(records)]
    with ray_errors(SAFE):
        found = ray.get(remote(_described).remote(name, options, samples, n_images))
    if isinstance(found, ClipfeatError):
        raise found
    encoder: Encoder = found
    return encoder


def _described(
    name: str, options: EncoderOptions, samples: Sequence[ImageRecord], n_images: int
) -> Encoder | ClipfeatError:
    try:
        with IsolatedDecoder() as decoder:
            found = open_encoder(
                name,
                options,
                n_images=n_images,
                samples=lambda: sample_pixels(samples, decoder),
            )
    except Exception as error:
        return worker_error(error, f"opening {name} on a worker")
    return replace(found, forward=_only_on_workers, replicas=())


def _only_on_workers(batch: torch.Tensor) -> torch.Tensor:
    raise ClipfeatError("this encoder runs on Ray's workers")


def encode_remotely(
    records: Sequence[ImageRecord], job: Job, known: KnownKeys
) -> Generator[Published, None, None]:
    """Encode images on a cluster, telling what was committed.

    Parameters
    ----------
    records : sequence of ImageRecord
        What to encode; every machine reaches their files under the same names.
    job : Job
        What workers are told.
    known : KnownKeys
        What need not be decoded.

    Yields
    ------
    Published
        As parts are committed, in any order. Every record is in at least one of them.

    Raises
    ------
    ClipfeatError
        If Ray gives up, or a worker met what is no image's fault.
    """
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray warns of its own old settings
        from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

        DataContext.get_current()
    for handler in logging.getLogger("ray.data").handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.CRITICAL)
    from clipfeat.embedding.on_ray.decode_worker import decode_block
    from clipfeat.embedding.on_ray.encode_worker import EncodingWorker

    place = Place.of_device(job.options.device)
    size = _block_size(len(records), job)
    blocks = [
        table([at], [pickle.dumps([reachable(record) for record in records[at : at + size]])])
        for at in range(0, len(records), size)
    ]
    with ray_errors(SAFE):
        images = ray.data.from_arrow(blocks)
        # A task's output is one block, whatever its size: were it cut by size, a second attempt, in
        # which an image fails, could cut it elsewhere.
        images.context.target_max_block_size = None
        committed = images.map_batches(
            decode_block,
            fn_kwargs={"job": job, "known": ray.put(known)},
            batch_size=None,
            batch_format="pyarrow",
            compute=TaskPoolStrategy(size=job.resources.num_workers),
            num_cpus=1,
            max_calls=CALLS,
        ).map_batches(
            EncodingWorker,
            fn_constructor_kwargs={"job": job},
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(),
            num_cpus=place.num_cpus,
            num_gpus=place.num_gpus,
        )
        batches: Any = committed.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        )
        with closing(iter(batches)) as found:
            for batch in found:
                for item in batch["item"]:
                    published = pickle.loads(item.as_buffer())
                    if isinstance(published, ClipfeatError):
                        raise published
                    yield published


def _block_size(n_records: int, job: Job) -> int:
    """How many images one task takes: enough tasks for all, none with too many bytes."""
    import ray

    n_cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    fair = -(-n_records // (TASKS_FOR_EACH_CPU * n_cpus))
    side = max(job.publisher.spec.input_size)
    one = job.preprocess(np.zeros((side, side, 3), dtype=np.uint8)).nbytes * job.pictures.n_of_each
    return max(1, min(fair, MOST_RECORDS, BLOCK_BYTES // one))


def reachable(record: ImageRecord) -> ImageRecord:
    """The same record, its file by a name that holds in any working folder."""
    return replace(record, reader=record.reader.absolute())
