"""What a run waited for, and what to change."""

from collections.abc import Mapping
from dataclasses import dataclass

STAGES = ("read", "decode", "resize", "transfer", "encode", "write")
BUSY = 0.8
ADVICE = {
    "read": "reading the images: a faster disk, tar files in place of many small ones, or more "
    "--num-workers",
    "decode": "decoding: more cores, or images stored smaller, as JPEG",
    "resize": "resizing: more cores, or images stored smaller",
    "transfer": "handing batches to the device: a larger --batch-size",
    "encode": "the encoder, as it should be: a GPU (or more), a smaller encoder or --image-size",
    "write": "writing the feature file: a faster disk for it",
}


@dataclass(frozen=True)
class Profile:
    """Where the time of an embedding run went.

    Parameters
    ----------
    seconds : mapping of str to float
        Of each of `STAGES`, summed over the threads that do it.
    threads : mapping of str to int
        How many threads do each.
    wall : float
        Seconds of the whole run, from the first image to the last row.
    n_images : int
        Images encoded.
    device : str
        What encoded: ``"cpu"``, ``"cuda"``.

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
        """The share of the run, in [0, 1], during which the threads of a stage were in it."""
        most = self.wall * self.threads.get(stage, 1)
        return min(1.0, self.seconds.get(stage, 0.0) / most) if most else 0.0

    def rate(self, stage: str) -> float:
        """Images per second that a stage does while its threads are in it."""
        spent = self.seconds.get(stage, 0.0) / self.threads.get(stage, 1)
        return self.n_images / spent if spent else float("inf")

    @property
    def bottleneck(self) -> str:
        """The stage that the others wait for."""
        if self.busy("encode") >= BUSY:
            return "encode"
        return max(STAGES, key=self.busy)

    @property
    def advice(self) -> str:
        """What was waited for, and what would change it."""
        return f"waited for {ADVICE[self.bottleneck]}"

    @property
    def idle(self) -> str:
        """Why an accelerator was left without work for more than a fifth of the run; else empty."""
        if self.device == "cpu" or self.busy("encode") >= BUSY:
            return ""
        share = 1 - self.busy("encode")
        return f"{self.device} had nothing to do for {share:.0%} of the run, which {self.advice}"
