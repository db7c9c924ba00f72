"""Driver of a run on Ray. It sets up the two pools, submits blocks and collects results."""

import logging
import pickle
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from clipfeat.embedding.on_ray.job import Job, KnownKeys, Published, make_block, worker_error
from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import ClipfeatError, UsageError
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.record import ImageRecord
from clipfeat.images.samples import sample_pixels, sample_records
from clipfeat.system.ray_connection import ray_errors

MAX_RECORDS = 512  # in one task
TASKS_PER_CPU = 4
MAX_BLOCK_BYTES = 64 * 2**20  # of preprocessed images
OPEN_ATTEMPTS = 20
"""Number of attempts to open an encoder if workers die. Without a limit, a run whose encoder kills
every worker would never end."""
RESUME_HINT = "committed rows are kept. Run the same command again to resume"
MAX_CALLS = 1000
"""Number of tasks after which a process is replaced. This limits the memory leaks of libraries.
Only one of the two pools has this setting. Ray Data therefore does not fuse the pools, and each can
scale independently."""


@dataclass(frozen=True)
class ActorResources:
    """Resources that one encoding actor reserves."""

    num_cpus: int
    num_gpus: int

    @classmethod
    def of_device(cls, device: str) -> "ActorResources":
        """Choose the resources of an actor for a device option.

        An actor gets a GPU if the option is ``"auto"`` or ``"cuda"`` and the cluster has a GPU.
        Any other actor gets a CPU core.

        Raises
        ------
        UsageError
            If `device` has a number or lists several devices, because Ray assigns the devices. Also
            if the cluster lacks a GPU or CPU cores that are needed, because Ray would wait forever.
        """
        import ray

        if "," in device or ":" in device:
            raise UsageError(
                f"Ray chooses the GPU of each worker, got the device {device!r}. Pass --device "
                "cuda without a number, --device cpu or --device auto"
            )
        available = ray.cluster_resources()
        has_gpus = available.get("GPU", 0) >= 1
        if device == "cuda" and not has_gpus:
            raise UsageError(
                "the device 'cuda' is not available, because no machine of the cluster has a GPU. "
                "Add a machine with a GPU to the cluster, or leave out --device"
            )
        wants_gpu = has_gpus and device in ("auto", "cuda")
        n_cpus, needed = available.get("CPU", 0), 1 if wants_gpu else 2
        if n_cpus < needed:
            raise UsageError(
                f"the cluster has {n_cpus:.0f} CPU cores, expected {needed} or more. One core "
                "decodes, and if there is no GPU, another core encodes. Start a larger cluster"
            )
        return cls(num_cpus=0, num_gpus=1) if wants_gpu else cls(num_cpus=1, num_gpus=0)


def open_remotely(
    name: str, options: EncoderOptions, records: Sequence[ImageRecord], n_images: int
) -> Encoder:
    """Open an encoder on a worker, and return it without its weights.

    Parameters
    ----------
    name : str
        Name of the encoder.
    options : EncoderOptions
        Options of the encoder.
    records : sequence of ImageRecord
        The images of the source. A sample of them is used to choose the precision ``"auto"``.
    n_images : int
        Number of images that will be encoded. 0 if it is not known.

    Returns
    -------
    Encoder
        The encoder. It has no weights, so its `forward` raises an error.
    """
    import ray

    reserved = ActorResources.of_device(options.device)
    remote = ray.remote(
        num_cpus=reserved.num_cpus, num_gpus=reserved.num_gpus, max_retries=OPEN_ATTEMPTS - 1
    )
    samples = [portable(record) for record in sample_records(records)]
    with ray_errors(RESUME_HINT):
        result = ray.get(remote(_describe_encoder).remote(name, options, samples, n_images))
    if isinstance(result, ClipfeatError):
        raise result
    encoder: Encoder = result
    return encoder


def _describe_encoder(
    name: str, options: EncoderOptions, samples: Sequence[ImageRecord], n_images: int
) -> Encoder | ClipfeatError:
    try:
        with IsolatedDecoder() as decoder:
            encoder = open_encoder(
                name,
                options,
                n_images=n_images,
                samples=lambda: sample_pixels(samples, decoder),
            )
    except Exception as error:
        return worker_error(error, f"opening {name} on a worker")
    return replace(encoder, forward=_only_on_workers, replicas=())


def _only_on_workers(batch: torch.Tensor) -> torch.Tensor:
    raise ClipfeatError(
        "this encoder cannot encode here: its weights are loaded only on the Ray workers"
    )


def encode_remotely(
    records: Sequence[ImageRecord], job: Job, known: KnownKeys
) -> Generator[Published, None, None]:
    """Encode images on a cluster, and yield the committed rows.

    Parameters
    ----------
    records : sequence of ImageRecord
        The images. Their files must have the same paths on every machine.
    job : Job
        Description of the run.
    known : KnownKeys
        Content hashes of the images that need no encoding.

    Yields
    ------
    Published
        The result of each block as soon as it is committed, in any order. Each record is in at
        least one result.

    Raises
    ------
    ClipfeatError
        If Ray fails, or if a worker has an error that concerns more than one image.
    """
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's warnings about its own deprecated settings
        from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

        DataContext.get_current()
    from clipfeat.embedding.on_ray.decode_worker import decode_block
    from clipfeat.embedding.on_ray.encode_worker import EncodingWorker

    reserved = ActorResources.of_device(job.options.device)
    size = _block_size(len(records), job)
    blocks = [
        make_block([start], [pickle.dumps([portable(r) for r in records[start : start + size]])])
        for start in range(0, len(records), size)
    ]
    with ray_errors(RESUME_HINT), _without_console_log():
        images = ray.data.from_arrow(blocks)
        # Keep the output of a task in one block. If Ray split it by size, a second attempt at the
        # task could be split differently, for example because one more image fails.
        images.context.target_max_block_size = None
        committed = images.map_batches(
            decode_block,
            fn_kwargs={"job": job, "known": ray.put(known)},
            batch_size=None,
            batch_format="pyarrow",
            compute=TaskPoolStrategy(size=job.resources.num_workers),
            num_cpus=1,
            max_calls=MAX_CALLS,
        ).map_batches(
            EncodingWorker,
            fn_constructor_kwargs={"job": job},
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(),
            num_cpus=reserved.num_cpus,
            num_gpus=reserved.num_gpus,
        )
        batches: Any = committed.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        )
        with closing(iter(batches)) as results:
            for batch in results:
                for item in batch["item"]:
                    published = pickle.loads(item.as_buffer())
                    if isinstance(published, ClipfeatError):
                        raise published
                    yield published


@contextmanager
def _without_console_log() -> Iterator[None]:
    """Discard the lines that Ray Data prints.

    Ray Data calls its own handler "console". Handlers of other names belong to the caller, for
    example pytest's, which the logger of Ray Data shares with all others.
    """
    own = [one for one in logging.getLogger("ray.data").handlers if one.name == "console"]

    def drop(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.CRITICAL

    for handler in own:
        handler.addFilter(drop)
    try:
        yield
    finally:
        for handler in own:
            handler.removeFilter(drop)


def _block_size(n_records: int, job: Job) -> int:
    """Return the number of images in a task.

    Each CPU core gets several tasks. The images of a task take at most `MAX_BLOCK_BYTES`.
    """
    import ray

    n_cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    fair_share = -(-n_records // (TASKS_PER_CPU * n_cpus))
    side = max(job.publisher.spec.input_size)
    n_bytes = job.preprocess(np.zeros((side, side, 3), dtype=np.uint8)).nbytes
    n_fitting = MAX_BLOCK_BYTES // (n_bytes * job.pictures.n_of_each)
    return max(1, min(fair_share, MAX_RECORDS, n_fitting))


def portable(record: ImageRecord) -> ImageRecord:
    """Return the record with an absolute path, so it is valid in any current directory."""
    return replace(record, reader=record.reader.absolute())
