"""Calls in a child process, so that a time limit can end them and a crash does not end the run."""

import pickle
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from joblib.externals.loky.backend import get_context

from clipfeat.errors import ClipfeatWarning, DataError

LONGEST = 1e6
"""Longest wait for a result, in seconds. The timeout of `Connection.poll` must be finite."""


@contextmanager
def one_process() -> Iterator[Callable[..., Any]]:
    """Provide a function that calls other functions in a child process.

    All calls use the same process. A new process replaces it after a timeout or a crash. loky
    starts the process, because `multiprocessing` with spawn would import the caller's script again.

    Yields
    ------
    callable
        ``run(seconds, function, *args)``, where `seconds` is the time limit. It returns the result
        of the function, or raises its exception. It raises TimeoutError after the time limit, and
        `DataError` if the process ends. The function, its arguments and its result are pickled.
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
                raise TimeoutError(
                    f"the fitting process was stopped after {seconds:.1f} s. Raise --time-limit"
                )
            message = pipe.recv_bytes()
        except (EOFError, ConnectionError):
            process.join()
            raise DataError(
                f"the fitting process ended unexpectedly (exit code {process.exitcode}). It "
                "probably ran out of memory, or a library crashed. Use fewer rows or another "
                "classifier"
            ) from None
        return unpickle_result(message)

    def run(seconds: float, function: Callable[..., Any], *args: Any) -> Any:
        if not current:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there,), daemon=True)
            process.start()
            there.close()
            current.append((process, here))
            call(LONGEST, abs, 0)  # wait for the start, so that it is not part of the time limit
        try:
            return call(seconds, function, *args)
        except Exception as error:
            if isinstance(error, TimeoutError | DataError):
                stop()
            raise
        except BaseException:  # otherwise the next call would receive the result of this call
            stop()
            raise

    try:
        yield run
    finally:
        stop()


def _serve(pipe: Any) -> None:
    """Run the calls that the parent process sends, until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and stops this process
    with suppress(EOFError, OSError):
        while True:
            function, args = pipe.recv()
            pipe.send_bytes(pickle_result(function, *args))


def pickle_result(function: Callable[..., Any], *args: Any) -> bytes:
    """Call a function. Pickle its result or its exception, and the text of its warnings."""
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
    except Exception as error:  # some exceptions and models cannot be pickled
        text = f"the result cannot be pickled ({error}). Use another classifier"
        if result[1] is not None:
            text = repr(result[1])
        return pickle.dumps((None, DataError(text), messages))


def unpickle_result(message: bytes) -> Any:
    """Unpickle a worker's result and re-raise its exception and warnings."""
    result, error, messages = pickle.loads(message)
    for text in messages:
        warnings.warn(text, ClipfeatWarning, stacklevel=5)
    if error is not None:
        raise error
    return result
