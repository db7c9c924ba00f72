"""Batches to rows that may be stored, whatever memory and precision do.

A batch that does not fit into memory is halved until it does, and that size is remembered; an image
that does not fit is tried once more when no other thread uses memory beside it. A row that is not
finite, or all zero, is computed once more in float32.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, Lock

import numpy as np
import torch
from numpy.typing import NDArray

from clipfeat.encoders.encoder import Encoder, check_row
from clipfeat.errors import ClipfeatWarning, EncodingError
from clipfeat.system.stopwatch import Stopwatch

Rows = list[NDArray[np.float32] | EncodingError]

# What torch's allocators say: of CUDA and MPS, of cuBLAS and cuDNN, of Linux and macOS, of Windows.
FULL = ("out of memory", "alloc_failed", "can't allocate memory", "not enough memory")


class CarefulEncoder:
    """An encoder that gives, for each image, a row that may be stored or the reason why not.

    Several threads may call it at once.

    Parameters
    ----------
    encoder : Encoder
        Gives the rows.
    exact : callable, optional
        Opens the same encoder in float32; called at most once, and only where `encoder` is of a
        lower precision.
    watch : Stopwatch, optional
        Told what takes how long.
    """

    def __init__(
        self,
        encoder: Encoder,
        exact: Callable[[], Encoder] | None = None,
        watch: Stopwatch | None = None,
    ) -> None:
        self._encoder = encoder
        self._watch = watch or Stopwatch()
        self._open_exact = None if encoder.spec.precision == "fp32" else exact
        self._exact: Encoder | None = None
        self._limit: int | None = None
        self._lock = Lock()
        self._n_running = 0
        self._changed = Condition()

    def encode(self, inputs: Sequence[torch.Tensor]) -> Rows:
        """Encode preprocessed images.

        Parameters
        ----------
        inputs : sequence of Tensor
            What the encoder's `preprocess` gave.

        Returns
        -------
        list of ndarray or EncodingError
            One for each image, in their order.

        Raises
        ------
        EncodingError
            If no image of the first batch fits into memory.
        """
        with self._running():
            rows: Rows = []
            size = self._limit or len(inputs)
            for start in range(0, len(inputs), size):
                rows += self._within_memory(inputs[start : start + size])
            flaws = {i: flaw for i, row in enumerate(rows) if (flaw := _flaw(row)) is not None}
            if flaws:
                exact = self._in_float32([inputs[i] for i in flaws]) or list(flaws.values())
                for i, row in zip(flaws, exact, strict=True):
                    rows[i] = row
        return rows

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Count this thread among those that use memory."""
        with self._changed:
            self._n_running += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_running -= 1
                self._changed.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other thread uses memory, and let none begin; for one that is running."""
        with self._changed:
            self._n_running -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._n_running == 0)
            try:
                yield
            finally:
                self._n_running += 1

    def _within_memory(self, inputs: Sequence[torch.Tensor]) -> Rows:
        """Encode in batches as large as memory takes, and take no larger ones from then on."""
        rows, fitted = self._halving(self._encoder, inputs)
        if not fitted and self._limit is None and len(inputs) > 1:
            # No image of a whole batch: it is the memory that is wrong, not the images.
            raise EncodingError(
                f"not one of {len(inputs)} images fits into memory beside the encoder "
                f"({rows[0]}): free some, or take --device cpu or a smaller encoder"
            )
        if fitted < len(inputs) > 1:
            with self._lock:
                first = self._limit is None
                self._limit = max(1, min(fitted, self._limit or fitted))
            if fitted and first:
                warnings.warn(
                    f"{len(inputs)} images at once do not fit into memory: going on with batches "
                    f"of {fitted}; give that batch size to be spared the attempt",
                    ClipfeatWarning,
                    stacklevel=2,
                )
        return rows

    def _in_float32(self, inputs: Sequence[torch.Tensor]) -> Rows:
        """Encode once more, exactly, rounded as it will be stored; nothing where that cannot be."""
        with self._lock:
            if self._open_exact is not None:
                open_exact, self._open_exact = self._open_exact, None
                try:
                    self._exact = open_exact()
                except Exception as error:
                    if not _is_full(error):
                        raise
        if self._exact is None:
            return []
        rows, _ = self._halving(self._exact, inputs)
        dtype = self._encoder.spec.dtype
        for i, row in enumerate(rows):
            if not isinstance(row, EncodingError):
                with np.errstate(over="ignore"):
                    stored = row.astype(dtype).astype(np.float32)
                flaw = _flaw(stored)
                rows[i] = EncodingError(f"{flaw}, in float32 too") if flaw else stored
        return rows

    def _halving(
        self, encoder: Encoder, inputs: Sequence[torch.Tensor], *, alone: bool = False
    ) -> tuple[Rows, int]:
        """Encode, in halves where it does not fit into memory; also the largest size that did."""
        try:
            return list(encoder.encode(inputs, self._watch)), len(inputs)
        except Exception as error:
            if not _is_full(error):
                raise
            reason = str(error).partition("\n")[0] or type(error).__name__
        # Out of the handler: the error's frames held the tensors that took the memory.
        if len(inputs) == 1 and not alone:
            with self._alone():
                return self._halving(encoder, inputs, alone=True)
        if len(inputs) == 1:
            return [EncodingError(f"does not fit into memory, alone in its batch: {reason}")], 0
        middle = len(inputs) // 2
        first, fitted = self._halving(encoder, inputs[:middle])
        second, also = self._halving(encoder, inputs[middle:])
        return first + second, max(fitted, also)


def _is_full(error: Exception) -> bool:
    """Whether an error says that memory is exhausted, the device's or the host's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in FULL)


def _flaw(row: NDArray[np.float32] | EncodingError) -> EncodingError | None:
    """What forbids storing a row, if anything; not what memory did, which float32 takes more of."""
    try:
        if not isinstance(row, EncodingError):
            check_row(row)
    except EncodingError as error:
        return error
    return None
