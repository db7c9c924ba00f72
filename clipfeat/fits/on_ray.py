"""Fits on the workers of a Ray cluster.

Each piece of work, such as a cell, is a Ray task that reserves as many processors as it has
threads. Ray schedules the task, and runs it again if its worker process ends unexpectedly. The data
that all pieces share, mainly the features, are put into the object store once. The workers map them
into memory.

joblib's Ray backend is not used (Ray 2.60, joblib 1.6), because it has four disadvantages:

- It assigns tasks to its actors in turn, even to busy actors. Ten sleeps, alternately long and
  short, took 10.7 s on two processors. With plain Ray tasks they took 6.1 s.
- It returns results only after all tasks are done, so finished cells cannot be cached before that.
- Its actors reserve no processors, and if one worker ends unexpectedly, the whole run fails.
- It does not resolve object references in arguments, so the features would be sent with every cell.
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
"""Largest number of attempts at a piece of work if its workers end unexpectedly."""

Executor = Callable[
    [Callable[..., Any], tuple[Any, ...], Sequence[tuple[Any, ...]]], Iterator[tuple[int, Any]]
]
"""``executor(function, shared, pieces)`` calls ``function(*shared, *piece)`` for every piece. When
a piece is finished, the executor yields the index and the result of the piece. If the call raised
an exception, the exception is the result."""


@contextmanager
def ray_executor(resources: FitResources, recovery: str) -> Iterator[Executor | None]:
    """Provide an executor on a Ray cluster. It connects to the cluster on first use.

    Parameters
    ----------
    resources : FitResources
        Engine, address of the cluster, and threads of each piece of work.
    recovery : str
        Remedy at the end of the error message if Ray fails, such as how to resume the run.

    Yields
    ------
    callable or None
        An `Executor`, or None for the engine ``"local"``. The executor raises `UsageError` if no
        machine of the cluster has enough processors. It also raises the errors of `connected` and
        `ray_errors` in `clipfeat.system.ray_connection`.
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
    if threads > most:  # Ray would never start the task
        raise UsageError(
            f"each fit reserves {threads} processors (-j), but no machine of the cluster has more "
            f"than {most}. Use -j {most} or less"
        )
    numbers: dict[Any, int] = {}
    try:
        with ray_errors(recovery):
            # The keys are identities, so that data shared by several calls are stored only once.
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
                        f"the worker ended unexpectedly, also when the fit was repeated "
                        f"({first_line(error)}). It probably ran out of memory, or a library "
                        "crashed. Use fewer rows or another classifier"
                    )
                else:
                    try:
                        result = unpickle_result(message)
                    except Exception as error:
                        result = error
                yield numbers.pop(done), result
    finally:
        for left in numbers:  # without a cancellation, the cluster would finish the tasks
            with suppress(Exception):  # the connection to Ray may be lost
                ray.cancel(left, force=True)


def _on_worker(
    threads: int, function: Callable[..., Any], piece: tuple[Any, ...], *shared: Any
) -> bytes:
    """Run one piece of work on a worker. Ray replaces the references to `shared` by the data."""
    with threadpool_limits(threads):
        return pickle_result(function, *shared, *piece)
