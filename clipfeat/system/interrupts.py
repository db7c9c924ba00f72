"""Signals that ask a run to stop: Ctrl-C, SIGTERM, and SIGHUP from a terminal that closes."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask a run to stop. Windows has no SIGHUP."""
PATIENCE = 30.0
"""Seconds after the first signal during which further signals are ignored."""


def handle_stop_signals(on_repeat: Callable[[], None] = lambda: None) -> None:
    """Raise KeyboardInterrupt for the first signal to stop, and ignore early repetitions of it.

    After the first signal, a run commits its rows. A second signal within `PATIENCE` seconds, such
    as a second Ctrl-C, does not interrupt this work. A later signal raises KeyboardInterrupt again,
    because the run may hang. A signal that is ignored, as SIGHUP is with ``nohup``, stays ignored.

    Parameters
    ----------
    on_repeat : callable
        Called for each signal that is ignored.
    """
    first: list[float] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if first and time.monotonic() - first[0] < PATIENCE:
            on_repeat()
            return
        first[:] = [time.monotonic()]
        raise KeyboardInterrupt

    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def ignore_stop_signals() -> None:
    """Ignore further signals, so that they do not change the exit code while Python exits."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Postpone signals to stop until the block has ended.

    If a signal has arrived, KeyboardInterrupt is then raised, unless the block itself raises an
    exception. Only the main thread handles signals, so this function has no effect in other
    threads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    kept = {number: signal.getsignal(number) for number in STOPPING}
    try:
        for number, handler in kept.items():
            if callable(handler):
                signal.signal(number, lambda number, frame: received.append(number))
        yield
    finally:
        for number, handler in kept.items():
            if callable(handler):
                signal.signal(number, handler)
    if received:
        raise KeyboardInterrupt
