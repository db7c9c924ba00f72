"""Slow results, which are computed once in a thread that starts at the first request."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any


class Background:
    """Results by name. Each is computed in its own thread.

    The threads are daemon threads, so an unfinished computation does not delay the exit of the
    application.

    Examples
    --------
    >>> background = Background()
    >>> background.request("sum", lambda: 1 + 1).result()
    2
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._futures: dict[str, Future[Any]] = {}
        self._running: dict[str, Lock] = {}

    def request(self, name: str, compute: Callable[[], Any]) -> "Future[Any]":
        """Return the future of a result. The first request starts its computation.

        If the computation failed, its future is returned once, so that the caller sees the error.
        The next request starts the computation again.

        Parameters
        ----------
        name : str
            Name of the result.
        compute : callable
            Function that computes the result.
        """
        with self._lock:
            future = self._futures.get(name)
            if future is None:
                future = self._futures[name] = Future()
                arguments = (name, future, compute)
                Thread(target=self._run, args=arguments, daemon=True, name=name).start()
            elif future.done() and future.exception() is not None:
                del self._futures[name]  # report the error once
            return future

    def forget(self, name: str) -> None:
        """Forget a result, so that the next request computes it again.

        If the old computation is still running, the new one waits for its end. If several new ones
        wait, only the last one starts, and the futures of the others are cancelled.
        """
        with self._lock:
            self._futures.pop(name, None)

    def _run(self, name: str, future: "Future[Any]", compute: Callable[[], Any]) -> None:
        with self._lock:
            running = self._running.setdefault(name, Lock())
        with running:
            with self._lock:
                is_current = self._futures.get(name) is future
            if is_current:
                _compute(future, compute)
            else:
                future.cancel()


def _compute(future: "Future[Any]", compute: Callable[[], Any]) -> None:
    try:
        result = compute()
    except BaseException as error:  # raised again where the result is used
        future.set_exception(error)
    else:
        future.set_result(result)
