"""Work that is stopped when its time is over, and whose crash costs nothing but itself."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from joblib.externals.loky.backend import get_context

from clipfeat.errors import DataError


@contextmanager
def one_process(
    first: Callable[..., Any], *args: Any
) -> Iterator[tuple[Callable[[], None], Callable[..., Any]]]:
    """Give a function that runs another in a process of its own.

    The process is kept from call to call; after a stop there is a new one. A process of loky's,
    since it does not import the caller's script again, as one of `multiprocessing` would.

    Parameters
    ----------
    first : callable
        Called in every new process with `args`, before the time of any work begins.

    Yields
    ------
    ready : callable
        Starts a process, if there is none; `run` does so too.
    run : callable
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

    def ask(seconds: float | None, function: Callable[..., Any], *given: Any) -> Any:
        process, pipe = kept[0]
        pipe.send((function, given))
        if not pipe.poll(seconds):
            raise TimeoutError(f"stopped after {seconds:.1f} s")
        try:
            answer, error = pipe.recv()
        except EOFError:
            process.join()
            raise DataError(
                f"its process ended (exit code {process.exitcode}): out of memory, or a fault in a "
                "library"
            ) from None
        if error is not None:
            raise error
        return answer

    def ready() -> None:
        if not kept:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there,), daemon=True)
            process.start()
            there.close()
            kept.append((process, here))
            ask(None, first, *args)

    def run(seconds: float, function: Callable[..., Any], *given: Any) -> Any:
        ready()
        try:
            return ask(max(seconds, 0.0), function, *given)
        except BaseException:  # whatever it is doing now, its answer would be taken for another's
            end()
            raise

    try:
        yield ready, run
    finally:
        end()


def _serve(pipe: Any) -> None:
    """Answer calls until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller hears it and ends this process
    with suppress(EOFError, OSError):
        while True:
            function, given = pipe.recv()
            try:
                answer: tuple[Any, Exception | None] = (function(*given), None)
            except Exception as error:
                answer = (None, error)
            pipe.send(answer)
