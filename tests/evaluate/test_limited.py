"""Work in a process of its own."""

import os
import signal
import time

import pytest

from clipfeat.errors import DataError
from clipfeat.evaluate.limited import one_process


def test_what_takes_too_long_is_stopped_and_the_rest_goes_on() -> None:
    """A stop takes no longer than it was given, and the next call has its own answer."""
    with one_process(os.getpid) as (_, run):
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
    with one_process(os.getpid) as (_, run):
        with pytest.raises(DataError, match="its process ended"):
            run(30, os.kill, run(30, os.getpid), signal.SIGSEGV)
        with pytest.raises(ZeroDivisionError):
            run(30, divmod, 1, 0)
        assert run(30, abs, -3) == 3
