"""Work in a child process, with a time limit and isolation from native crashes."""

import pickle
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from joblib.externals.loky.backend import get_context

from clipfeat.errors import ClipfeatWarning, DataError

LONGEST = 1e6
"""Longest wait in seconds; polling a pipe needs a finite timeout."""


@contextmanager
def one_process() -> Iterator[Callable[..., Any]]:
    """Provide a function that runs other functions in a child process.

    The process is reused between calls and replaced after a timeout. It is started through loky,
    because `multiprocessing` with spawn would import the caller's script again.

    Yields
    ------
    callable
        ``run(seconds, function, *args)``. The arguments are pickled. Raises the exception of the
        function, TimeoutError after the time limit, and `DataError` if the process dies.
    """
    context = get_context("loky")
    current: list[tuple[Any, Any]] = []

    def stop() -> None:
        while current:
            process, pipe = current.pop()
            process.terminate()
            process.join()
            pipe.close()

    def call(seconds: float, function: Callable[..., Any], *args: Any) -> Any:
        process, pipe = current[0]
        try:
            pipe.send((function, args))
            if not pipe.poll(min(max(seconds, 0.0), LONGEST)):
                raise TimeoutError(f"stopped after {seconds:.1f} s")
            message = pipe.recv_bytes()
        except (EOFError, ConnectionError):
            process.join()
            raise DataError(
                f"the child process died (exit code {process.exitcode}), out of memory or by a "
                "crash in a library: use fewer rows, or another classifier"
            ) from None
        return unpickle_result(message)

    def run(seconds: float, function: Callable[..., Any], *args: Any) -> Any:
        if not current:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there,), daemon=True)
            process.start()
            there.close()
            current.append((process, here))
            call(LONGEST, abs, 0)  # the time limit excludes the start of the process
        try:
            return call(seconds, function, *args)
        except Exception as error:
            if isinstance(error, TimeoutError | DataError):
                stop()
            raise
        except BaseException:  # the next call would receive this call's result
            stop()
            raise

    try:
        yield run
    finally:
        stop()


def _serve(pipe: Any) -> None:
    """Answer calls until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and stops this process
    with suppress(EOFError, OSError):
        while True:
            function, args = pipe.recv()
            pipe.send_bytes(pickle_result(function, *args))


def pickle_result(function: Callable[..., Any], *args: Any) -> bytes:
    """Call a function and pickle its result, or its exception, with its warnings."""
    result: tuple[Any, Exception | None]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ClipfeatWarning)
        try:
            result = (function(*args), None)
        except Exception as error:
            result = (None, error)
    messages = [str(one.message) for one in caught if issubclass(one.category, ClipfeatWarning)]
    try:
        pickle.loads(pickle.dumps(result[1]))
        return pickle.dumps((*result, messages))
    except Exception:  # some exceptions and models cannot be pickled
        text = repr(result[1]) if result[1] is not None else "the result cannot be pickled"
        return pickle.dumps((None, DataError(text), messages))


def unpickle_result(message: bytes) -> Any:
    """Unpickle a worker's result and re-raise its exception and warnings."""
    result, error, messages = pickle.loads(message)
    for text in messages:
        warnings.warn(text, ClipfeatWarning, stacklevel=5)
    if error is not None:
        raise error
    return result
