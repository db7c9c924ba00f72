"""Time profile of an embedding run, with advice on its bottleneck."""

from collections.abc import Mapping
from dataclasses import dataclass

STAGES = ("read", "decode", "resize", "transfer", "encode", "write")
BUSY = 0.8
ADVICE = {
    "read": "reading images (use a faster disk, tar files instead of many small files, or more "
    "--num-workers)",
    "decode": "decoding (use more cores, --decode scaled for large JPEG photographs, or store the "
    "images smaller, as JPEG)",
    "resize": "resizing (use more cores, or store the images smaller)",
    "transfer": "transferring batches to the device (use a larger --batch-size)",
    "encode": "the encoder, which is the ideal bottleneck (use a GPU, more GPUs, a smaller encoder "
    "or a smaller --image-size)",
    "write": "writing the feature file (use a faster disk)",
}


@dataclass(frozen=True)
class Profile:
    """Time profile of an embedding run.

    Parameters
    ----------
    seconds : mapping of str to float
        Seconds of work in each of `STAGES`, summed over the threads of the stage.
    threads : mapping of str to int
        Number of threads of each stage.
    wall : float
        Wall-clock seconds from the first image to the last row.
    n_images : int
        Number of images that the run encoded.
    device : str
        Type of the encoder's device, such as ``"cpu"`` or ``"cuda"``. ``"none"`` if nothing is
        encoded.

    Examples
    --------
    >>> profile = Profile({"decode": 8.0, "encode": 3.0}, {"decode": 2}, 5.0, 100, "cuda")
    >>> profile.bottleneck
    'decode'
    >>> profile.busy("encode")
    0.6
    """

    seconds: Mapping[str, float]
    threads: Mapping[str, int]
    wall: float
    n_images: int
    device: str

    def busy(self, stage: str) -> float:
        """Return the share of the run, in [0, 1], during which the threads of a stage worked."""
        available = self.wall * self.threads.get(stage, 1)
        return min(1.0, self.seconds.get(stage, 0.0) / available) if available else 0.0

    def rate(self, stage: str) -> float:
        """Return how many images per second a stage processes while its threads work."""
        spent = self.seconds.get(stage, 0.0) / self.threads.get(stage, 1)
        return self.n_images / spent if spent else float("inf")

    @property
    def bottleneck(self) -> str:
        """The stage that limits the speed of the run."""
        if self.busy("encode") >= BUSY:
            return "encode"
        return max(STAGES, key=self.busy)

    @property
    def advice(self) -> str:
        """Text that names the bottleneck and the changes that relieve it."""
        return f"waited for {ADVICE[self.bottleneck]}"

    @property
    def idle(self) -> str:
        """Warning if a GPU was idle for more than a fifth of the run, or an empty text."""
        if self.device in ("cpu", "none") or self.busy("encode") >= BUSY:
            return ""
        share = 1 - self.busy("encode")
        return (
            f"the device {self.device} was idle for {share:.0%} of the run. It waited for "
            f"{ADVICE[self.bottleneck]}"
        )
