"""Limits on the requests, the images and the queue of the server."""

from dataclasses import dataclass, fields

from clipfeat.errors import UsageError

MIB = 2**20


@dataclass(frozen=True)
class ServingLimits:
    """Limits of requests and of the queue.

    Parameters
    ----------
    max_files : int
        Maximum number of images in a request.
    max_file_mb : int
        Maximum size of an image file, in MiB.
    max_request_mb : int
        Maximum size of a request, in MiB.
    max_pixels : int, optional
        Maximum number of pixels of an image. It cannot exceed the general limit ``MAX_PIXELS`` of
        `clipfeat.images.decode`, which is also the default.
    queue : int
        Maximum number of images that are waiting or being processed.
    timeout : float
        Maximum time for each of three steps, in seconds: receiving a request, downloading an image,
        and predicting.

    Raises
    ------
    UsageError
        If a limit is not positive, or if `max_files` is larger than `queue`.
    """

    max_files: int = 64
    max_file_mb: int = 32
    max_request_mb: int = 128
    max_pixels: int | None = None
    queue: int = 256
    timeout: float = 60.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None and not value > 0:
                flag = "--" + one.name.replace("_", "-")
                raise UsageError(f"{one.name} must be above 0, got {value}. Change {flag}")
        if self.max_files > self.queue:
            raise UsageError(
                f"a request may have {self.max_files} images, but the queue holds {self.queue}. "
                f"Pass --queue {self.max_files} or more, or a smaller --max-files"
            )

    @property
    def pixels(self) -> int:
        """Maximum number of pixels of an image."""
        from clipfeat.images.decode import MAX_PIXELS

        return MAX_PIXELS if self.max_pixels is None else min(self.max_pixels, MAX_PIXELS)

    @property
    def file_bytes(self) -> int:
        """Maximum size of an image file in bytes."""
        return self.max_file_mb * MIB

    @property
    def request_bytes(self) -> int:
        """Maximum size of a request in bytes."""
        return self.max_request_mb * MIB

    @property
    def held_bytes(self) -> int:
        """Maximum size of all requests and downloads in memory, in bytes."""
        return 4 * self.request_bytes
