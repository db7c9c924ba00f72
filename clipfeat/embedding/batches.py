"""Encoding of batches under limited memory and limited precision.

A batch that does not fit in memory is halved until it fits, and later batches keep this smaller
size. A single image that does not fit is encoded again while no other thread encodes. A row that is
not finite, or whose values are all zero, is computed once more in float32.

If the encoder raises any other error, the batch is halved to find the images that cause the error.
These images are recorded as failures. If the encoder also refuses a test image, the error ends the
run.
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

RowResults = list[NDArray[np.float32] | EncodingError]
"""For each image of a batch, its row of features or an error."""

# Parts of the error messages of torch's allocators, in the order CUDA and MPS, cuBLAS and cuDNN,
# Linux and macOS, Windows.
OUT_OF_MEMORY = ("out of memory", "alloc_failed", "can't allocate memory", "not enough memory")


class RetryingEncoder:
    """Encoder that returns a valid row or an error for each image.

    Several threads may call it concurrently.

    Parameters
    ----------
    encoder : Encoder
        The encoder.
    exact : callable, optional
        Opens the same encoder in float32. It is called at most once, and only if `encoder` has a
        lower precision.
    watch : Stopwatch, optional
        Collects the seconds of ``"transfer"`` and ``"encode"``.
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

    def encode(self, inputs: Sequence[torch.Tensor]) -> RowResults:
        """Encode preprocessed images.

        Parameters
        ----------
        inputs : sequence of Tensor
            Outputs of the encoder's `preprocess`.

        Returns
        -------
        list of ndarray or EncodingError
            A row or an error for each image, in the same order.

        Raises
        ------
        EncodingError
            If no image of the first batch fits in memory alone, and the encoder also fails on a
            test image.
        Exception
            Any other error of the encoder, if the encoder also fails on a test image.
        """
        with self._running():
            rows: RowResults = []
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
        """Count this thread as one that encodes, until the block ends."""
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
        """Wait until no other thread uses memory, and prevent other threads from starting.

        The calling thread must be inside `_running`.
        """
        with self._changed:
            self._n_running -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._n_running == 0)
            try:
                yield
            finally:
                self._n_running += 1

    def _within_memory(self, inputs: Sequence[torch.Tensor]) -> RowResults:
        """Encode in batches that fit in memory, and store the size for later batches."""
        rows, fitted = self._halving(self._encoder, inputs)
        no_limit = self._limit is None
        if not fitted and no_limit and len(inputs) > 1 and not _accepts_images(self._encoder):
            raise EncodingError(
                f"the encoder is loaded, but none of the {len(inputs)} images of the first batch "
                f"fits in the remaining memory ({rows[0]}). Free some memory, or use a "
                "smaller encoder"
            )
        if 0 < fitted < len(inputs):
            with self._lock:
                first = self._limit is None
                self._limit = min(fitted, self._limit or fitted)
            if first:
                warnings.warn(
                    f"a batch of {len(inputs)} images does not fit in memory, so the run continues "
                    f"with batches of {fitted}. Pass --batch-size {fitted} to avoid this retry",
                    ClipfeatWarning,
                    stacklevel=2,
                )
        return rows

    def _in_float32(self, inputs: Sequence[torch.Tensor]) -> RowResults:
        """Encode in float32 and round to the stored dtype.

        Return an empty list if the encoder cannot be opened in float32.
        """
        with self._lock:
            if self._open_exact is not None:
                open_exact, self._open_exact = self._open_exact, None
                try:
                    self._exact = open_exact()
                except Exception as error:
                    if not _is_out_of_memory(error):
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
                rows[i] = EncodingError(f"{flaw}, also in float32") if flaw else stored
        return rows

    def _halving(
        self, encoder: Encoder, inputs: Sequence[torch.Tensor], *, alone: bool = False
    ) -> tuple[RowResults, int]:
        """Encode, and halve batches that do not fit in memory or that the encoder refuses.

        Return the results, and the size of the largest batch that fitted.
        """
        try:
            return list(encoder.encode(inputs, self._watch)), len(inputs)
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            is_full = _is_out_of_memory(error)
            if not is_full and len(inputs) == 1:
                if not _accepts_images(encoder):
                    raise
                return [EncodingError(f"the encoder refuses the image: {reason}")], 1
        # Do not retry inside the handler, where the error's frames hold the tensors that fill the
        # memory.
        if len(inputs) == 1 and not alone:
            with self._alone():
                return self._halving(encoder, inputs, alone=True)
        if len(inputs) == 1:
            return [EncodingError(f"the image does not fit in memory, even alone: {reason}")], 0
        middle = len(inputs) // 2
        first, first_fitted = self._halving(encoder, inputs[:middle])
        second, second_fitted = self._halving(encoder, inputs[middle:])
        fitted = max(first_fitted, second_fitted) if is_full else len(inputs)
        return first + second, fitted


def _accepts_images(encoder: Encoder) -> bool:
    """Return whether an encoder encodes a test image.

    If it does, its errors on other images are caused by these images.
    """
    size = (*encoder.spec.input_size, 3)
    noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    try:
        encoder.encode([encoder.preprocess(noise)])
    except Exception:
        return False
    return True


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether an error reports that the memory of the device or the host is exhausted."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in OUT_OF_MEMORY)


def _flaw(row: NDArray[np.float32] | EncodingError) -> EncodingError | None:
    """Return the reason to compute a row again in float32, or None.

    The result is None for an image that failed, because float32 needs even more memory.
    """
    try:
        if not isinstance(row, EncodingError):
            check_row(row)
    except EncodingError as error:
        return error
    return None
