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
        Number of images in one forward pass, for each core or device. None chooses the fastest size
        by timing.
    num_workers : int, optional
        Number of threads that read and decode, or on Ray the number of tasks. None uses one thread
        more than the machine has cores. On Ray, None uses as many tasks as the cluster can run.
    engine : str
        ``"local"`` or ``"ray"``. On Ray, the images and the output folder must have the same paths
        on every machine. If the cluster has GPUs, ``device="auto"`` uses one GPU per encoder.
    address : str, optional
        Address of a running Ray cluster. None uses the environment variable ``RAY_ADDRESS``. If the
        variable is not set, a cluster is started on this machine for the run.

    Raises
    ------
    UsageError
        If a number is below 1, if the engine is unknown, or if an address is given for an engine
        other than ``"ray"``.
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
                f"the address {self.address!r} is that of a Ray cluster, but the engine is "
                f"{self.engine!r}. Pass --engine ray, or leave out --address"
            )
        for name in ("batch_size", "num_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                flag = "--" + name.replace("_", "-")
                raise UsageError(f"{name} must be 1 or more, got {value}. Pass {flag} 1 or more")
