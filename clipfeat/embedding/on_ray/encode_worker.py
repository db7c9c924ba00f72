"""Actors of the second pool, which encode preprocessed images and commit the rows."""

import pickle
import time
from contextlib import closing
from dataclasses import replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clipfeat.embedding.on_ray.job import Job, Published, make_block, unpack, worker_error
from clipfeat.embedding.preparing import Known
from clipfeat.embedding.workers import Encoded, WorkerPool, encode_prepared
from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder import Encoder
from clipfeat.errors import FingerprintError
from clipfeat.features import Failure
from clipfeat.store.format import Row, Segment
from clipfeat.store.writing import COMMIT_ROWS, COMMIT_SECONDS
from clipfeat.system.stopwatch import Stopwatch


class EncodingWorker:
    """Actor that encodes blocks of images. It opens the encoder for its first block.

    Parameters
    ----------
    job : Job
        The job of the run.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, block: pa.Table) -> pa.Table:
        """Encode and commit a block's images.

        Parameters
        ----------
        block : Table
            The result of `decode_block`.

        Returns
        -------
        Table
            One row for the whole block: a pickled `Published`, or the error that ends the run. If
            there were several rows, a second attempt could split the block differently, and Ray
            could combine rows of both attempts.
        """
        start = block["position"][0].as_py()
        result: Published | Exception
        try:
            result = self._encode(block, start)
        except Exception as error:
            # Ray would convert a raised exception to its own type, with the traceback as text.
            result = worker_error(error, "a worker")
        return make_block([start], [pickle.dumps(result)])

    @cached_property
    def _workers(self) -> WorkerPool:
        job = self._job
        encoder = self._open(job.options.precision, job.n_images)
        if encoder.spec != job.publisher.spec:
            raise FingerprintError(
                "two workers opened different encoders. The differences are: "
                f"{'; '.join(job.publisher.spec.differences(encoder.spec))}. Install the same "
                "weights and package versions on all machines"
            )
        return WorkerPool(
            encoder, lambda: self._open("fp32", 0), Stopwatch(), job.resources.batch_size
        )

    def _open(self, precision: str, n_images: int) -> Encoder:
        job = self._job
        options = replace(job.options, precision=precision)
        encoder = open_encoder(job.encoder, options, n_images=n_images)
        return replace(encoder, spec=replace(encoder.spec, faces=job.publisher.spec.faces))

    def _encode(self, block: pa.Table, start: int) -> Published:
        published = Published([], [], [], [])
        pending = _Pending()
        images = (unpack(item.as_buffer()) for item in block["item"])
        with closing(encode_prepared(images, self._workers)) as stream:
            for item in stream:
                if isinstance(item, Known):
                    published.known.append(item)
                    continue
                pending.add(item)
                # Commit every few seconds, because a worker may be killed at any time.
                if pending.is_due:
                    self._commit(pending, start, published)
                    pending = _Pending()
        self._commit(pending, start, published)
        return published

    def _commit(self, pending: "_Pending", start: int, published: Published) -> None:
        # The driver writes the failures to a file that is read before the rows. A failure can
        # therefore not hide a row that another attempt at this block has committed.
        published.failures.extend(pending.failures)
        if not pending.rows:
            return
        publisher = self._job.publisher
        features = np.concatenate(pending.features).astype(publisher.spec.dtype)
        segment = Segment(features, pending.rows, [])
        published.parts.append(publisher.publish(segment, start))
        published.rows.extend(pending.rows)


class _Pending:
    """Results of a block that are not yet committed."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.features: list[NDArray[np.float32]] = []
        self.failures: list[Failure] = []
        self._since = time.monotonic()

    def add(self, item: Encoded | Failure) -> None:
        if isinstance(item, Failure):
            self.failures.append(item)
            return
        self.rows += item.rows
        self.features.append(item.features)

    @property
    def is_due(self) -> bool:
        return len(self.rows) >= COMMIT_ROWS or time.monotonic() - self._since > COMMIT_SECONDS
