"""The actors of the second pool: preprocessed images to committed rows."""

import pickle
import time
from contextlib import closing
from dataclasses import replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clipfeat.embedding.on_ray.job import Job, Published, table, unpack, worker_error
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
    """An encoder on a worker, opened for its first block.

    Parameters
    ----------
    job : Job
        The encoder, and where its rows are committed.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, block: pa.Table) -> pa.Table:
        """Encode and commit a block's images.

        Parameters
        ----------
        block : Table
            As `decode_block` yields it.

        Returns
        -------
        Table
            One row for the whole block: a pickled `Published`, or the error that must end the run.
            Were it several, a second attempt could part them in another way, and some would be
            taken of the one, some of the other.
        """
        place = block["place"][0].as_py()
        found: Published | Exception
        try:
            found = self._published(block, place)
        except Exception as error:
            # Raised, it would come as the text of a traceback: some error of Ray's.
            found = worker_error(error, "a worker")
        return table([place], [pickle.dumps(found)])

    @cached_property
    def _workers(self) -> WorkerPool:
        job = self._job
        encoder = self._open(job.options.precision, job.n_images)
        if encoder.spec != job.publisher.spec:
            raise FingerprintError(
                "a worker opened another encoder than the first one did "
                f"({'; '.join(job.publisher.spec.differences(encoder.spec))}): give all machines "
                "the same weights and versions"
            )
        return WorkerPool(
            encoder, lambda: self._open("fp32", 0), Stopwatch(), job.resources.batch_size
        )

    def _open(self, precision: str, n_images: int) -> Encoder:
        job = self._job
        options = replace(job.options, precision=precision)
        found = open_encoder(job.encoder, options, n_images=n_images)
        return replace(found, spec=replace(found.spec, faces=job.publisher.spec.faces))

    def _published(self, block: pa.Table, place: int) -> Published:
        found = Published([], [], [], [])
        pending = _Pending()
        images = (unpack(item.as_buffer()) for item in block["item"])
        with closing(encode_prepared(images, self._workers)) as stream:
            for item in stream:
                if isinstance(item, Known):
                    found.known.append(item)
                    continue
                pending.add(item)
                # Every few seconds: a worker may be gone at any moment.
                if pending.is_due:
                    self._commit(pending, place, found)
                    pending = _Pending()
        self._commit(pending, place, found)
        return found

    def _commit(self, pending: "_Pending", place: int, found: Published) -> None:
        # Those are for the driver to record, in a part that comes before the rows: one that another
        # attempt at this block has committed must not be lost to them.
        found.failures.extend(pending.failures)
        if not pending.rows:
            return
        publisher = self._job.publisher
        features = np.concatenate(pending.features).astype(publisher.spec.dtype)
        segment = Segment(features, pending.rows, [])
        found.parts.append(publisher.publish(segment, place))
        found.rows.extend(pending.rows)


class _Pending:
    """What is encoded and not yet committed."""

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
