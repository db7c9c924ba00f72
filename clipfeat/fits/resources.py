"""Where fits run, on how many threads, and for how long."""

from dataclasses import dataclass

from clipfeat.errors import UsageError, unknown_name

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class FitResources:
    """Resources of a run of fits.

    Parameters
    ----------
    n_jobs : int, optional
        Threads. None is one for small data, else all processors. On Ray, threads of each fit, for
        which Ray reserves as many processors of one machine; None is one.
    time_limit : float, optional
        Seconds. In `clipfeat.benchmark`, for each classifier with all its folds and searches; in
        `clipfeat.fit`, for everything. Not on Ray.
    engine : str
        ``"local"``, one fit after the other, or ``"ray"``, fits spread over the processors of a
        Ray cluster whose machines have the same version of clipfeat. Probabilities are the same.
    address : str, optional
        Address of a running Ray cluster. None is the environment's ``RAY_ADDRESS``, or else a
        cluster on this machine that is started for the run.

    Raises
    ------
    UnknownNameError
        If there is no such engine.
    UsageError
        If the address, the time limit or the number of threads does not fit the engine.
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
        if self.engine == "ray" and self.time_limit is not None:
            raise UsageError("a time limit needs engine 'local': leave out --time-limit with Ray")
        if self.engine == "ray" and self.n_jobs is not None and self.n_jobs < 1:
            raise UsageError(f"on Ray, n_jobs must be 1 or more, got {self.n_jobs}")
