"""Work in a process of its own."""

import os
import signal
import time
import warnings

import pytest

from clipfeat.errors import ClipfeatWarning, DataError
from clipfeat.fits.limited import one_process


def test_what_takes_too_long_is_stopped_and_the_rest_goes_on() -> None:
    """A stop takes no longer than it was given, and the next call has its own answer."""
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


def test_a_crash_and_an_error_are_told_apart() -> None:
    """A fault of a library ends its own process only; an exception comes as what it was."""
    with one_process() as run:
        with pytest.raises(DataError, match="child process died"):
            run(30, os.kill, run(30, os.getpid), signal.SIGSEGV)
        with pytest.raises(ZeroDivisionError):
            run(30, divmod, 1, 0)
        assert run(30, abs, -3) == 3


def test_what_cannot_be_sent_and_what_is_warned_of_are_said() -> None:
    """An odd exception comes as its text; a warning of ours is warned of again on this side."""
    with one_process() as run:
        with pytest.raises(DataError, match="Odd"):
            run(30, raise_odd)
        with pytest.warns(ClipfeatWarning, match="few groups"):
            assert run(30, warn_and_answer) == 3


class OddError(Exception):
    """An exception that cannot be rebuilt from its text."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} {two}")


def raise_odd() -> None:
    raise OddError(1, 2)


def warn_and_answer() -> int:
    warnings.warn("few groups", ClipfeatWarning, stacklevel=1)
    return 3


def test_a_process_that_died_while_idle_is_replaced() -> None:
    """The next call says so once, as an error of ours; the one after it is answered."""
    with one_process() as run:
        os.kill(run(30, os.getpid), signal.SIGKILL)
        time.sleep(0.5)
        with pytest.raises(DataError, match="child process died"):
            run(30, abs, -3)
        assert run(30, abs, -3) == 3
