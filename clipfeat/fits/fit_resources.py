"""Resources of fits: engine, threads and time limit."""

import math
from dataclasses import dataclass

from clipfeat.errors import UsageError, unknown_name

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class FitResources:
    """Resources of a run of fits.

    Parameters
    ----------
    n_jobs : int, optional
        Number of threads of each fit. On this machine, None uses one thread for small data and all
        processors for other data. With several threads, boosted trees of different folds are fitted
        side by side, and the threads are divided among these fits. On Ray, None uses one thread.
        Ray reserves one processor per thread, on one machine of the cluster.
    time_limit : float, optional
        Time limit in seconds. In `clipfeat.benchmark`, it applies to each classifier, with all its
        folds and searches. In `clipfeat.fit`, it applies to the whole run. It cannot be used with
        Ray.
    engine : {"local", "ray"}
        ``"local"`` runs the fits on this machine. ``"ray"`` distributes them over the processors of
        a Ray cluster, whose machines must have the same version of clipfeat.
        Both engines give the same probabilities, up to rounding errors. The probabilities are
        equal to the last bit under two conditions: both engines use the same versions of all
        libraries, and the sums of these libraries do not depend on the number of threads.
    address : str, optional
        Address of a running Ray cluster. None reads the environment variable ``RAY_ADDRESS``. If
        this variable is not set, a cluster is started on this machine for the run.

    Raises
    ------
    UnknownNameError
        If the engine is unknown.
    UsageError
        If the time limit is not positive. If an address is given for the engine ``"local"``. If a
        time limit or an `n_jobs` below 1 is given for the engine ``"ray"``.
    """

    n_jobs: int | None = None
    time_limit: float | None = None
    engine: str = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES)
        if self.address is not None and self.engine != "ray":
            raise UsageError(
                f"the address {self.address!r} needs the engine 'ray', got engine "
                f"{self.engine!r}. Pass --engine ray, or leave out --address"
            )
        if self.time_limit is not None and not 0 < self.time_limit < math.inf:
            raise UsageError(
                f"the time limit must be a positive number of seconds, got {self.time_limit:g}. "
                "Use --time-limit 600"
            )
        if self.engine == "ray" and self.time_limit is not None:
            raise UsageError(
                f"the time limit of {self.time_limit:g} s cannot be used with the engine 'ray'. "
                "Leave out --time-limit or --engine"
            )
        if self.engine == "ray" and self.n_jobs is not None and self.n_jobs < 1:
            raise UsageError(
                f"with the engine 'ray', n_jobs must be 1 or more, got {self.n_jobs}. Use -j 1"
            )
