"""Resources of an embedding run: batch size, workers, engine."""

from dataclasses import dataclass

from clipfeat.errors import UsageError, unknown_name

ENGINE_NAMES = ("local", "ray")


@dataclass(frozen=True)
class EmbedResources:
    """Resources of an embedding run.

    Parameters
    ----------
    batch_size : int, optional
        Number of images in one forward pass, for each core or device. None measures it.
    num_workers : int, optional
        Number of threads that read and decode, or of decoding tasks on Ray. None is one more than
        the number of cores, or as many tasks as fit on the Ray cluster.
    engine : str
        ``"local"`` or ``"ray"``. On Ray, the images and the output folder must have the same paths
        on every machine, and ``device="auto"`` uses one GPU per encoder if the cluster has any.
    address : str, optional
        Address of a running Ray cluster. None is the environment variable ``RAY_ADDRESS``, or else
        a cluster on this machine that is started for the run.

    Raises
    ------
    UsageError
        If a number is below 1, the engine is unknown, or an address is given without Ray.
    """

    batch_size: int | None = None
    num_workers: int | None = None
    engine: str = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINE_NAMES:
            raise unknown_name("engine", self.engine, ENGINE_NAMES)
        if self.address is not None and self.engine != "ray":
            raise UsageError(
                f"address {self.address!r} needs engine 'ray', got engine {self.engine!r}. "
                "Set --engine ray, or leave out --address"
            )
        for name in ("batch_size", "num_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be 1 or more, got {value}")
