"""How many images at once: found by trying, on the run's own batches."""

import math

SMALLEST_GAIN = 1.03
HOPELESS = 0.8
TRIES = 2  # the first of a size pays for the memory that the next ones use again

AT_ONCE = 256
"""Images of 256 pixels for whose activations there should be room in a processor's memory."""


class BatchSize:
    """The number of images in one forward pass.

    Each doubling of the smallest size is tried; the fastest is taken, of nearly equal ones the
    smallest.

    Parameters
    ----------
    fixed : int or None
        As the user says; None to find out.
    smallest, largest : int
        Where to begin, and what not to go beyond.
    n_lanes : int
        How many batches are encoded at once, each in memory of its own.

    Examples
    --------
    >>> batch = BatchSize(None, 8, 64)
    >>> while not batch.settled:  # 8 images take as long as 16, 32 twice as long as these
    ...     batch.observe(batch.size, seconds=max(batch.size, 16) / 100)
    >>> batch.size
    16
    """

    def __init__(self, fixed: int | None, smallest: int, largest: int, n_lanes: int = 1) -> None:
        self.size = fixed or min(smallest, largest)
        self.settled = fixed is not None
        self._largest = largest
        self._tries = TRIES * n_lanes
        self._tried = 0
        self._rate = 0.0
        self._best = (0.0, self.size)

    def observe(self, n_images: int, seconds: float) -> None:
        """Learn how long a batch took; one of less than half of `size` says nothing."""
        if self.settled or not self.size // 2 < n_images <= self.size:
            return
        self._rate = max(self._rate, n_images / max(seconds, 1e-9))
        self._tried += 1
        if self._tried < self._tries:
            return
        if self._rate > SMALLEST_GAIN * self._best[0]:
            self._best = (self._rate, self.size)
        hopeless = self._rate < HOPELESS * self._best[0]
        self.settled = hopeless or 2 * self.size > self._largest
        self.size = self._best[1] if self.settled else 2 * self.size
        self._tried, self._rate = 0, 0.0


def batch_size_for(fixed: int | None, side: int, n_lanes: int, *, on_cpu: bool) -> BatchSize:
    """The batch size for square images of a side, in pixels, before any was tried.

    A processor's cores, each with a batch of its own, gain nothing from large ones, and what they
    would use for them is everybody's memory; where a GPU's is exhausted, the batch is halved.
    """
    if not on_cpu:
        return BatchSize(fixed, 64, 1024, n_lanes)
    fitting = AT_ONCE * 256**2 // max(1, side) ** 2
    each = 2 ** int(math.log2(max(1, min(fitting // 4, fitting // n_lanes))))
    return BatchSize(fixed, 8, min(32, each), n_lanes)
