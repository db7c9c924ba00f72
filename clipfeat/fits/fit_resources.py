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
        Number of threads. None uses one for small data, else all processors. On Ray, the number of
        threads of each fit; Ray reserves as many processors of one machine, and None uses one.
    time_limit : float, optional
        Time limit in seconds. In `clipfeat.benchmark`, it applies to each classifier with all its
        folds and searches. In `clipfeat.fit`, it applies to the whole run. Not on Ray.
    engine : {"local", "ray"}
        ``"local"`` runs the fits in order. ``"ray"`` distributes them over the processors of a Ray
        cluster, whose machines must have the same version of clipfeat. Both give the same
        probabilities, to the last bit if the libraries are the same and their sums do not depend
        on the number of threads.
    address : str, optional
        Address of a running Ray cluster. None reads the environment variable ``RAY_ADDRESS``. If
        it is not set, a cluster is started on this machine for the run.

    Raises
    ------
    UnknownNameError
        If there is no such engine.
    UsageError
        If the time limit is not positive, or the address, the time limit or the number of threads
        does not fit the engine.
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
                f"address {self.address!r} needs engine 'ray', got engine {self.engine!r}: "
                "set --engine ray, or leave out --address"
            )
        if self.time_limit is not None and not 0 < self.time_limit < math.inf:
            raise UsageError(
                f"the time limit must be a positive number of seconds, got {self.time_limit:g}"
            )
        if self.engine == "ray" and self.time_limit is not None:
            raise UsageError("a time limit needs engine 'local': leave out --time-limit with Ray")
        if self.engine == "ray" and self.n_jobs is not None and self.n_jobs < 1:
            raise UsageError(f"on Ray, n_jobs must be 1 or more, got {self.n_jobs}")
