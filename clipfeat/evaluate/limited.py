"""Work that is stopped when its time is over, and whose crash costs nothing but itself."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor

from clipfeat.errors import DataError


@contextmanager
def one_process() -> Iterator[Callable[..., Any]]:
    """Give a function that runs another in a process of its own.

    It is called as ``run(seconds, function, *args)``, and pickles the arguments. The process is
    kept from call to call; after a stop there is a new one.

    Yields
    ------
    callable
        Raises what the function raises, TimeoutError if it was stopped, and `DataError` if its
        process died.
    """
    pool: list[Any] = []

    def run(seconds: float, function: Callable[..., Any], *args: Any) -> Any:
        if not pool:
            pool.append(ProcessPoolExecutor(max_workers=1))
            pool[0].submit(time.monotonic).result()  # its start is not the work's own time
        future = pool[0].submit(function, *args)
        try:
            return future.result(timeout=max(seconds, 0.0))
        except BrokenProcessPool:
            raise DataError("its process died: out of memory, or a fault in a library") from None
        finally:
            if not future.done() or isinstance(future.exception(), BrokenProcessPool):
                pool.pop().shutdown(wait=True, kill_workers=True)

    try:
        yield run
    finally:
        while pool:
            pool.pop().shutdown(wait=True, kill_workers=True)
