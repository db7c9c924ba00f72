"""Tests of signals that ask a run to stop."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from clipfeat.system.interrupts import STOPPING, uninterrupted

RUN = """
import os, signal, sys, time
from clipfeat.system.interrupts import STOPPING, handle_stop_signals
for number in STOPPING:  # a shell starts background jobs with some signals ignored
    signal.signal(number, signal.default_int_handler)
handle_stop_signals(lambda: os.write(1, b"stopping "))
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("saving", flush=True)
    for _ in range(20):
        time.sleep(0.05)
    print("saved", flush=True)
    sys.exit(130)
"""


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Restore Python's handling of Ctrl-C, which a shell disables for background jobs."""
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, kept)


@pytest.mark.parametrize("number", STOPPING, ids=lambda number: number.name)
def test_repeated_signals_do_not_interrupt_saving(number: signal.Signals) -> None:
    """The first signal interrupts. Later ones are ignored while work is saved."""
    with subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        run.send_signal(number)
        assert run.stdout.readline() == "saving\n"
        for other in STOPPING:
            run.send_signal(other)
        assert run.stdout.read().endswith("saved\n")
    assert run.returncode == 130


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_nohup_is_respected() -> None:
    """A signal that the parent process ignores stays ignored."""
    script = (
        "import os, signal\n"
        "from clipfeat.system.interrupts import handle_stop_signals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "handle_stop_signals()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('continues')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "continues\n"), done.stderr


def test_signals_are_postponed(interruptible: None) -> None:
    """KeyboardInterrupt is raised after the block. An error of the block takes precedence."""
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append("work")
    assert done == ["work"]
    with pytest.raises(LookupError), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        raise LookupError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_handle_no_signals() -> None:
    """In other threads, the block runs without handling signals."""
    kept = signal.getsignal(signal.SIGINT)
    changed: list[bool] = []

    def work() -> None:
        with uninterrupted():
            changed.append(signal.getsignal(signal.SIGINT) is not kept)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert changed == [False]
