"""Work that is stopped when its time is over, and whose crash costs nothing but itself."""

import pickle
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from joblib.externals.loky.backend import get_context

from clipfeat.errors import ClipfeatWarning, DataError

LONGEST = 1e6
"""Seconds; a pipe cannot be waited for without an end."""


@contextmanager
def one_process() -> Iterator[Callable[..., Any]]:
    """Give a function that runs another in a process of its own.

    The process is kept from call to call; after a stop there is a new one. A process of loky's,
    since it does not import the caller's script again, as one of `multiprocessing` would.

    Yields
    ------
    callable
        Called as ``run(seconds, function, *args)``; the arguments are pickled. Raises what the
        function raises, TimeoutError if it was stopped, and `DataError` if its process died.
    """
    context = get_context("loky")
    kept: list[tuple[Any, Any]] = []

    def end() -> None:
        while kept:
            process, pipe = kept.pop()
            process.terminate()
            process.join()
            pipe.close()

    def ask(seconds: float, function: Callable[..., Any], *given: Any) -> Any:
        process, pipe = kept[0]
        try:
            pipe.send((function, given))
            if not pipe.poll(min(max(seconds, 0.0), LONGEST)):
                raise TimeoutError(f"stopped after {seconds:.1f} s")
            message = pipe.recv_bytes()
        except (EOFError, ConnectionError):
            process.join()
            raise DataError(
                f"its process ended (exit code {process.exitcode}): out of memory, or a fault in a "
                "library"
            ) from None
        return opened(message)

    def run(seconds: float, function: Callable[..., Any], *given: Any) -> Any:
        if not kept:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there,), daemon=True)
            process.start()
            there.close()
            kept.append((process, here))
            ask(LONGEST, abs, 0)  # its start is not the work's own time
        try:
            return ask(seconds, function, *given)
        except Exception as error:
            if isinstance(error, TimeoutError | DataError):
                end()
            raise
        except BaseException:  # whatever it is doing now, its answer would be taken for another's
            end()
            raise

    try:
        yield run
    finally:
        end()


def _serve(pipe: Any) -> None:
    """Answer calls until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller hears it and ends this process
    with suppress(EOFError, OSError):
        while True:
            function, given = pipe.recv()
            pipe.send_bytes(caught(function, *given))


def caught(function: Callable[..., Any], *given: Any) -> bytes:
    """Call a function; what it gives, raises and warns of, as bytes for another process."""
    answer: tuple[Any, Exception | None]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ClipfeatWarning)
        try:
            answer = (function(*given), None)
        except Exception as error:
            answer = (None, error)
    ours = [str(one.message) for one in warned if issubclass(one.category, ClipfeatWarning)]
    try:
        pickle.loads(pickle.dumps(answer[1]))
        return pickle.dumps((*answer, ours))
    except Exception:  # not every exception, or model, can be sent
        said = DataError(repr(answer[1] or "its result cannot be sent between processes"))
        return pickle.dumps((None, said, ours))


def opened(message: bytes) -> Any:
    """Give, raise and warn of what was `caught`."""
    answer, error, warned = pickle.loads(message)
    for text in warned:
        warnings.warn(text, ClipfeatWarning, stacklevel=5)
    if error is not None:
        raise error
    return answer
