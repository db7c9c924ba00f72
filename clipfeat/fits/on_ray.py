"""Work on the workers of a Ray cluster: cells, and the members of a model.

Each piece is a task of Ray's own, for which it keeps as many processors as the piece has threads.
Ray places it, and runs it again where its worker dies; what all pieces share, the features first of
all, is put into its object store once, and workers map it.

It is not joblib's Ray backend, which was tried first (Ray 2.60, joblib 1.6). That deals tasks to
its actors in turn, whether they are busy or not: ten naps, every other one long, took it 10.7 s on
two processors, and plain tasks 6.1 s. It gives nothing before all is done, so that no finished cell
could be kept; the first worker that dies ends everything; its actors ask for no processor; and it
passes on references unopened, so that every cell would bring the features along.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from threadpoolctl import threadpool_limits

from clipfeat.errors import DataError, UsageError, unknown_name
from clipfeat.fits.limited import caught, opened
from clipfeat.system.ray_connection import connected, first_line, ray_errors

ENGINES = ("local", "ray")

ATTEMPTS = 3
"""At a piece whose worker dies; then that is its error."""

Spread = Callable[
    [Callable[..., Any], tuple[Any, ...], Sequence[tuple[Any, ...]]], Iterator[tuple[int, Any]]
]
"""``spread(function, shared, pieces)`` calls ``function(*shared, *piece)`` for every piece, and
gives, as they end, the number of each and what came of it: a value, or the exception it raised."""


def check_engine(
    engine: str, address: str | None, n_jobs: int | None, time_limit: float | None
) -> None:
    """Refuse what does not go together, before the work rather than after.

    Raises
    ------
    UnknownNameError
        If there is no such engine.
    UsageError
        If an address, a time limit or a number of threads does not go with it.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if address is not None and engine != "ray":
        raise UsageError("an address is of a Ray cluster: give --engine ray too, or leave it out")
    if engine == "ray" and time_limit is not None:
        raise UsageError(
            "--time-limit is of fits one after the other on one machine: leave it out with "
            "--engine ray"
        )
    if engine == "ray" and n_jobs is not None and n_jobs < 1:
        raise UsageError(f"on Ray each fit has 1 thread or more, got n_jobs {n_jobs}")


@contextmanager
def spreading(
    engine: str, address: str | None, n_jobs: int | None, safe: str
) -> Iterator[Spread | None]:
    """Give what spreads work over a cluster, which is connected to once there is some.

    Parameters
    ----------
    engine : str
        One of `ENGINES`.
    address : str, optional
        As `clipfeat.system.ray_connection.connected` takes it.
    n_jobs : int, optional
        Threads of each piece of work, and processors that Ray keeps for it; None is one.
    safe : str
        What is not lost where Ray gives up, and how to go on.

    Yields
    ------
    callable or None
        None for ``"local"``. Raises `UsageError` if no machine has so many processors, and as
        `connected` and `ray_errors` of `clipfeat.system.ray_connection` do.
    """
    if engine == "local":
        yield None
        return
    with ExitStack() as connection:
        yield partial(_spread, connection, {}, address, n_jobs or 1, safe)


def _spread(
    connection: ExitStack,
    held: dict[int, tuple[Any, Any]],
    address: str | None,
    threads: int,
    safe: str,
    function: Callable[..., Any],
    shared: tuple[Any, ...],
    pieces: Sequence[tuple[Any, ...]],
) -> Iterator[tuple[int, Any]]:
    connection.enter_context(connected(address))
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

    most = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    if threads > most:  # it would wait for ever
        raise UsageError(
            f"each fit is to have {threads} processors (-j), and no machine of the cluster has "
            f"more than {most}"
        )
    numbers: dict[Any, int] = {}
    try:
        with ray_errors(safe):
            # By their identity, so that what several calls share is there once as well.
            held |= {id(one): (one, ray.put(one)) for one in shared if id(one) not in held}
            there = [held[id(one)][1] for one in shared]
            task = ray.remote(num_cpus=threads, max_retries=ATTEMPTS - 1)(_on_worker)
            for number, piece in enumerate(pieces):
                numbers[task.remote(threads, function, piece, *there)] = number
            while numbers:
                (done,), _ = ray.wait(list(numbers))
                try:
                    message = ray.get(done)
                except (NodeDiedError, OutOfMemoryError, WorkerCrashedError) as error:
                    answer: Any = DataError(
                        f"its worker died, at each of up to {ATTEMPTS} attempts, as where memory "
                        f"is short or a library has a fault: {first_line(error)}"
                    )
                else:
                    try:
                        answer = opened(message)
                    except Exception as error:
                        answer = error
                yield numbers.pop(done), answer
    finally:
        for left in numbers:  # of a run that is stopped, on a cluster that goes on
            with suppress(Exception):  # Ray may be gone itself
                ray.cancel(left, force=True)


def _on_worker(
    threads: int, function: Callable[..., Any], piece: tuple[Any, ...], *shared: Any
) -> bytes:
    """One piece of work, in its share of the machine; Ray has opened the references to `shared`."""
    with threadpool_limits(threads):
        return caught(function, *shared, *piece)
