"""Choice of the batch size, by timing the batches of a run."""

import math

MIN_GAIN = 1.03
HOPELESS = 0.8
N_TRIALS = 2  # the first batch of a size is slower, because it allocates memory

IMAGES_IN_MEMORY = 256
"""Number of images of 256×256 pixels whose activations are assumed to fit in memory on a CPU."""


class BatchSize:
    """The number of images in one forward pass.

    The size starts at `smallest` and doubles. Doubling stops at `largest`, or when a size encodes
    over 20 % fewer images per second than the fastest size. The fastest size is kept. A larger size
    must encode over 3 % more images per second to replace a smaller size.

    Parameters
    ----------
    fixed : int or None
        The batch size that the user chose. None chooses it by timing.
    smallest, largest : int
        The first and the largest size to try.
    n_workers : int
        Number of batches that are encoded concurrently, each in its own memory.

    Examples
    --------
    >>> batch = BatchSize(None, 8, 64)
    >>> while not batch.settled:  # 8 images take as long as 16, and 32 images twice as long
    ...     batch.observe(batch.size, seconds=max(batch.size, 16) / 100)
    >>> batch.size
    16
    """

    def __init__(self, fixed: int | None, smallest: int, largest: int, n_workers: int = 1) -> None:
        self.size = fixed or min(smallest, largest)
        self.settled = fixed is not None
        self._largest = largest
        self._trials_per_size = N_TRIALS * n_workers
        self._n_trials = 0
        self._rate = 0.0
        self._best = (0.0, self.size)

    def observe(self, n_images: int, seconds: float) -> None:
        """Record the duration of a batch. Batches of at most half of `size` are ignored."""
        if self.settled or not self.size // 2 < n_images <= self.size:
            return
        self._rate = max(self._rate, n_images / max(seconds, 1e-9))
        self._n_trials += 1
        if self._n_trials < self._trials_per_size:
            return
        if self._rate > MIN_GAIN * self._best[0]:
            self._best = (self._rate, self.size)
        hopeless = self._rate < HOPELESS * self._best[0]
        self.settled = hopeless or 2 * self.size > self._largest
        self.size = self._best[1] if self.settled else 2 * self.size
        self._n_trials, self._rate = 0, 0.0


def batch_size_for(fixed: int | None, side: int, n_workers: int, *, on_cpu: bool) -> BatchSize:
    """Make the `BatchSize` of a run, before any batch is timed.

    On a CPU each core encodes its own batch. Large batches are not faster there and use memory that
    other programs need, so the largest size is 32. On a GPU the largest size is 1024, and
    `RetryingEncoder` halves a batch that exhausts the memory.

    Parameters
    ----------
    fixed : int or None
        The batch size that the user chose. None chooses it by timing.
    side : int
        Side of the square input in pixels.
    n_workers : int
        Number of batches that are encoded concurrently.
    on_cpu : bool
        Whether the encoder runs on a CPU.
    """
    if not on_cpu:
        return BatchSize(fixed, 64, 1024, n_workers)
    n_fitting = IMAGES_IN_MEMORY * 256**2 // max(1, side) ** 2
    per_worker = 2 ** int(math.log2(max(1, min(n_fitting // 4, n_fitting // n_workers))))
    return BatchSize(fixed, 8, min(32, per_worker), n_workers)
