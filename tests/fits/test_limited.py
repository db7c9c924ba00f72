"""Tests of work in a child process."""

import os
import signal
import time
import warnings

import pytest

from clipfeat.errors import ClipfeatWarning, DataError
from clipfeat.fits.limited import one_process


def test_a_slow_call_is_stopped() -> None:
    """A call is stopped at the time limit, and the next call gets a new process."""
    with one_process() as run:
        pid = run(30, os.getpid)
        assert pid == run(30, os.getpid) != os.getpid()
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            run(0.2, time.sleep, 60)
        assert time.monotonic() - begun < 20
        assert run(30, abs, -3) == 3
        assert run(30, os.getpid) != pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_crash_differs_from_an_exception() -> None:
    """A crash ends only the child process. An exception is raised in the parent."""
    with one_process() as run:
        with pytest.raises(DataError, match="ended unexpectedly"):
            run(30, os.kill, run(30, os.getpid), signal.SIGSEGV)
        with pytest.raises(ZeroDivisionError):
            run(30, divmod, 1, 0)
        assert run(30, abs, -3) == 3


def test_odd_exceptions_and_warnings_reach_the_parent() -> None:
    """Exceptions that cannot be pickled arrive as text, and warnings are repeated."""
    with one_process() as run:
        with pytest.raises(DataError, match="Odd"):
            run(30, raise_odd)
        with pytest.warns(ClipfeatWarning, match="few groups"):
            assert run(30, warn_and_return) == 3


class OddError(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} {two}")


def raise_odd() -> None:
    raise OddError(1, 2)


def warn_and_return() -> int:
    warnings.warn("few groups", ClipfeatWarning, stacklevel=1)
    return 3


def test_a_process_that_died_while_idle_is_replaced() -> None:
    """The next call raises `DataError`, and the following call works."""
    with one_process() as run:
        os.kill(run(30, os.getpid), signal.SIGKILL)
        time.sleep(0.5)
        with pytest.raises(DataError, match="ended unexpectedly"):
            run(30, abs, -3)
        assert run(30, abs, -3) == 3
