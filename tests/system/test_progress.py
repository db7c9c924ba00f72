"""Tests of progress on a terminal, in a log and in a notebook."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from io import StringIO
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from clipfeat.system import progress
from clipfeat.system.progress import Phase, reporting

LONG_RUN = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
from clipfeat.system.progress import Phase, reporting
with reporting(True) as report:
    report(Phase("opening", detail="timm:resnet50"))
    time.sleep(0.6)
    for done in range(1000):
        report(Phase("encoding", done, 1000, "images"))
        time.sleep(0.02)
"""


def run_phases(show: bool | Callable[[Phase], None], seconds: float = 0.0) -> None:
    with reporting(show) as report:
        report(Phase("opening", detail="resnet\x1b[2J"))
        time.sleep(seconds)
        report(Phase("encoding", 0, 40, "images"))
        report(Phase("encoding", 40, 40, "images", failed=2))


def test_a_short_run_prints_nothing_in_a_log(capfd: pytest.CaptureFixture[str]) -> None:
    """A short run prints nothing."""
    run_phases(True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("impatient")
def test_a_log_has_a_line_for_each_phase(capfd: pytest.CaptureFixture[str]) -> None:
    """Running and finished phases are printed without control characters."""
    run_phases(True, seconds=0.8)
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) >= 3
    assert all(re.fullmatch(r"opening: \d s, resnet\\x1b\[2J", line) for line in lines[:-1])
    assert re.fullmatch(r"encoding: 40/40 images in \d s, \S+ images/s, 2 failed", lines[-1])


@pytest.mark.usefixtures("impatient")
def test_progress_can_be_turned_off_or_collected(capfd: pytest.CaptureFixture[str]) -> None:
    """False shows nothing, and a callable receives every state."""
    seen: list[Phase] = []
    run_phases(False)
    run_phases(seen.append)
    assert [(phase.name, phase.done) for phase in seen] == [
        ("opening", 0), ("encoding", 0), ("encoding", 40)
    ]  # fmt: skip
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("impatient")
def test_standard_error_that_is_not_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress works if standard error is closed, or is an object with few methods."""
    lines: list[str] = []
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=lines.append))
    run_phases(True)
    assert lines[-1].startswith("encoding: 40/40 images")
    closed = StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    run_phases(True)


@pytest.mark.usefixtures("impatient")
def test_only_one_of_several_runs_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """A run in another thread does not print between the lines of the first run."""
    with reporting(True) as report:
        other = threading.Thread(target=run_phases, args=(True,))
        other.start()
        other.join()
        report(Phase("fitting", 1, 2, "fits"))
    err = capfd.readouterr().err
    assert err.startswith("fitting: 1/2 fits in 0 s")
    assert err.count("\n") == 1


def test_items_that_were_complete_before_do_not_count_for_the_rate() -> None:
    """In a resumed run, the remaining time ignores earlier items."""
    phase = Phase("encoding", 910, 1000, "images")
    assert progress.state_text(phase, 5.0, 900) == "910/1000 images in 5 s, 2.0 images/s, 45 s left"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_c_leaves_a_clean_terminal() -> None:
    """After Ctrl-C, the progress bar is removed and the cursor is visible."""
    main, terminal = os.openpty()
    run = subprocess.Popen(
        [sys.executable, "-c", LONG_RUN], stderr=terminal, stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "90"},
    )  # fmt: skip
    os.close(terminal)
    screen = b""
    while b"images/s" not in screen:
        screen += os.read(main, 10_000)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=30)
    screen += os.read(main, 100_000)
    os.close(main)
    assert out == b""
    assert b"timm:resnet50" in screen
    assert b"KeyboardInterrupt" in screen
    assert screen.rindex(b"\x1b[?25h") > screen.rindex(b"images/s")


@pytest.mark.usefixtures("impatient")
def test_a_notebook_has_one_output_that_changes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One output is updated, and finally shows the seconds of each phase."""
    shown: list[dict[str, str]] = []

    def show(bundle: dict[str, str], *, raw: bool, display_id: bool = True) -> Any:
        shown.append(bundle)
        return SimpleNamespace(update=show)

    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    ipython.display = ModuleType("IPython.display")
    ipython.display.display = show
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    run_phases(True, seconds=0.8)
    first, *_, last = (one["text/plain"] for one in shown)
    assert re.fullmatch(r"opening: \d s, resnet\\x1b\[2J", first)
    assert re.fullmatch(r"\d\.\d s", last)
    assert shown[0]["text/html"].startswith("<progress></progress>")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("width", [40, 70, 100])
def test_a_narrow_terminal_has_one_line_with_the_name(width: int) -> None:
    """On a narrow terminal, the end of the state is cut, not the phase name."""
    clock = progress.PhaseClock()
    clock(Phase("checking", 17, 23, "checks", detail="repeated small corner patches"))
    screen = Console(width=width, file=StringIO())
    screen.print(clock)
    (line,) = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert line.startswith("checking ")
    assert "17/23 checks in 0 s" in line
