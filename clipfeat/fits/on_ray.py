"""Fits on the workers of a Ray cluster.

Each piece of work is a Ray task that reserves as many processors as it has threads. Ray schedules
it and retries it if its worker dies. Data shared by all pieces, mainly the features, is put into
the object store once, and workers map it.

joblib's Ray backend was tried first (Ray 2.60, joblib 1.6) and has four disadvantages:

- It assigns tasks to its actors in turn, busy or not. Ten sleeps, alternately long and short, took
  10.7 s on two processors against 6.1 s with plain tasks.
- It returns results only after all tasks are done, so finished cells cannot be cached.
- It fails as a whole when one worker dies, and its actors reserve no processors.
- It passes object references unresolved, so that every cell would carry the features.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from threadpoolctl import threadpool_limits

from clipfeat.errors import DataError, UsageError
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.limited import pickle_result, unpickle_result
from clipfeat.system.ray_connection import connected, first_line, ray_errors

ATTEMPTS = 3
"""Attempts at a piece of work whose worker dies."""

Executor = Callable[
    [Callable[..., Any], tuple[Any, ...], Sequence[tuple[Any, ...]]], Iterator[tuple[int, Any]]
]
"""``executor(function, shared, pieces)`` calls ``function(*shared, *piece)`` for every piece. It
yields the index and the result of each piece as it finishes; an exception is a result."""


@contextmanager
def ray_executor(resources: FitResources, recovery: str) -> Iterator[Executor | None]:
    """Provide an executor on a Ray cluster, which connects on first use.

    Parameters
    ----------
    resources : FitResources
        Engine, address of the cluster, and threads of each piece of work.
    recovery : str
        How to resume if Ray gives up; part of the error message.

    Yields
    ------
    callable or None
        An `Executor`, or None for the engine ``"local"``. It raises `UsageError` if no machine of
        the cluster has enough processors, and the errors of `connected` and `ray_errors` in
        `clipfeat.system.ray_connection`.
    """
    if resources.engine == "local":
        yield None
        return
    with ExitStack() as connection:
        threads = resources.n_jobs or 1
        yield partial(_execute, connection, {}, resources.address, threads, recovery)


def _execute(
    connection: ExitStack,
    in_store: dict[int, tuple[Any, Any]],
    address: str | None,
    threads: int,
    recovery: str,
    function: Callable[..., Any],
    shared: tuple[Any, ...],
    pieces: Sequence[tuple[Any, ...]],
) -> Iterator[tuple[int, Any]]:
    connection.enter_context(connected(address))
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

    most = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    if threads > most:  # the task would wait for ever
        raise UsageError(
            f"each fit reserves {threads} processors (-j), but no machine of the cluster has more "
            f"than {most}: lower -j"
        )
    numbers: dict[Any, int] = {}
    try:
        with ray_errors(recovery):
            # Keyed by identity, so that data shared by several calls is stored once.
            in_store |= {id(one): (one, ray.put(one)) for one in shared if id(one) not in in_store}
            references = [in_store[id(one)][1] for one in shared]
            task = ray.remote(num_cpus=threads, max_retries=ATTEMPTS - 1)(_on_worker)
            for number, piece in enumerate(pieces):
                numbers[task.remote(threads, function, piece, *references)] = number
            while numbers:
                (done,), _ = ray.wait(list(numbers))
                try:
                    message = ray.get(done)
                except (NodeDiedError, OutOfMemoryError, WorkerCrashedError) as error:
                    result: Any = DataError(
                        f"the worker died in each of up to {ATTEMPTS} attempts, out of memory or "
                        f"by a crash in a library: {first_line(error)}"
                    )
                else:
                    try:
                        result = unpickle_result(message)
                    except Exception as error:
                        result = error
                yield numbers.pop(done), result
    finally:
        for left in numbers:  # the run was stopped, but the cluster goes on
            with suppress(Exception):  # Ray itself may be gone
                ray.cancel(left, force=True)


def _on_worker(
    threads: int, function: Callable[..., Any], piece: tuple[Any, ...], *shared: Any
) -> bytes:
    """Run one piece of work on a worker; Ray has resolved the references to `shared`."""
    with threadpool_limits(threads):
        return pickle_result(function, *shared, *piece)
