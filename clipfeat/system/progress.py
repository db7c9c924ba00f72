"""Progress of long functions, shown at a terminal, in a log or in a notebook.

A function reports each state of its work as a `Phase`. `reporting` shows the states on standard
error: as a bar at a terminal, or as a few lines in a log. In a notebook, it shows them in the
output of the cell. Standard output is never used.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from clipfeat.system.escaping import html_text, terminal_text

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType, RenderResult

FIRST_LINE = 5.0
"""Seconds after which a log shows a running phase. A run that is shorter prints nothing."""
LONGEST_WAIT = 60.0
"""Largest number of seconds between two lines of a log."""
SHOWN_PHASE = 1.0
"""Minimum duration in seconds of a finished phase that a log shows, and of a run that a notebook
shows."""
BAR_WIDTH = 30

_shown = Lock()
"""Lock that is held while a run is shown. A second run in another thread shows nothing."""


@dataclass(frozen=True)
class Phase:
    """State of one phase of a run, such as opening an encoder or encoding images.

    Parameters
    ----------
    name : str
        Name of the phase, such as ``"encoding"``. A state with another name begins a new phase.
    done : int
        Number of items that are complete.
    total : int, optional
        Number of all items. None if the phase has no items.
    unit : str
        Name of the items, such as ``"images"``.
    failed : int
        Number of items that failed. They are included in `done`.
    detail : str
        Further text, such as the name of the encoder or the classifier.
    """

    name: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    failed: int = 0
    detail: str = ""


Report = Callable[[Phase], None]
"""Function that is called with each new state of a run."""


def silent(phase: Phase) -> None:
    """Show nothing."""


class PhaseClock:
    """Callable that measures the seconds of each phase and passes each state on to a report.

    Examples
    --------
    >>> clock = PhaseClock()
    >>> for name in ("opening", "encoding", "opening"):
    ...     clock(Phase(name))
    >>> list(clock.stop())
    ['opening', 'encoding']
    """

    def __init__(self, report: Report = silent) -> None:
        self.phase: Phase | None = None
        self._report = report
        self._seconds: dict[str, float] = {}
        self._begun = 0.0
        self._n_before = 0

    def __call__(self, phase: Phase) -> None:
        """Record a state, and pass it on."""
        if not self.is_in(phase.name):
            self.stop()
            self._begun, self._n_before = time.monotonic(), phase.done
        self.phase = phase
        self._report(phase)

    def is_in(self, name: str) -> bool:
        """Return whether the current phase has this name."""
        return self.phase is not None and self.phase.name == name

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the current phase. 0 if there is none."""
        return 0.0 if self.phase is None else time.monotonic() - self._begun

    def stop(self) -> Mapping[str, float]:
        """End the current phase. Return the seconds of each phase, in the order of their start."""
        if self.phase is not None:
            name = self.phase.name
            self._seconds[name] = self._seconds.get(name, 0.0) + self.elapsed
            self.phase = None
        return self._seconds

    def text(self) -> str:
        """Describe the current phase in one line."""
        phase = self.phase
        if phase is None:
            return ""
        return f"{phase.name}: {state_text(phase, self.elapsed, self._n_before)}"

    def __rich_console__(self, console: object, options: "ConsoleOptions") -> "RenderResult":
        """Draw the current phase as one line of a terminal. A narrow terminal has a narrow bar."""
        from rich.progress_bar import ProgressBar
        from rich.table import Column, Table
        from rich.text import Text

        phase = self.phase
        if phase is None:
            return
        state = Text(terminal_text(state_text(phase, self.elapsed, self._n_before)))
        state.truncate(options.max_width - len(phase.name) - 1, overflow="ellipsis")
        width = min(BAR_WIDTH, options.max_width - len(phase.name) - len(state) - 2)
        cells: list[RenderableType] = [Text(phase.name), state]
        if width >= 5:
            cells.insert(1, ProgressBar(phase.total, phase.done, width, pulse=phase.total is None))
        line = Table.grid(*(Column(no_wrap=True) for _ in cells), padding=(0, 1))
        line.add_row(*cells)
        yield line

    def bundle(self) -> dict[str, str]:
        """Draw the current phase for a notebook, as plain text and as HTML."""
        text = terminal_text(self.text())
        share = ""
        if self.phase is not None and self.phase.total is not None:
            share = f' max="{max(self.phase.total, 1)}" value="{self.phase.done}"'
        html = f"<progress{share}></progress> <span>{html_text(text)}</span>"
        return {"text/plain": text, "text/html": html}


def state_text(phase: Phase, seconds: float, n_before: int = 0) -> str:
    """Describe the state of a phase that has run for some seconds.

    Parameters
    ----------
    phase : Phase
        The state.
    seconds : float
        Seconds since the start of the phase.
    n_before : int
        Number of items that were complete at the start of the phase. They are not counted in the
        rate and the remaining time.

    Examples
    --------
    >>> state_text(Phase("encoding", 120, 1000, "images", failed=2), 4.0)
    '120/1000 images in 4 s, 30.0 images/s, 29 s left, 2 failed'
    >>> state_text(Phase("opening", detail="timm:resnet50.a1_in1k"), 5.2)
    '5 s, timm:resnet50.a1_in1k'
    """
    parts = [duration(seconds)]
    if phase.total is not None:
        parts = [f"{phase.done}/{phase.total} {phase.unit} in {parts[0]}"]
        rate = (phase.done - n_before) / max(seconds, 1e-9)
        if rate >= 1:
            parts.append(f"{rate:,.1f} {phase.unit}/s")
        if rate > 0 and phase.done < phase.total:
            parts.append(f"{duration((phase.total - phase.done) / rate)} left")
    if phase.failed:
        parts.append(f"{phase.failed} failed")
    if phase.detail:
        parts.append(phase.detail)
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Format a number of seconds with at most two units.

    Examples
    --------
    >>> duration(59.6), duration(754), duration(8000)
    ('60 s', '12 min 34 s', '2 h 13 min')
    """
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def seconds_text(seconds: Mapping[str, float]) -> str:
    """Format the total of several phases, with the seconds of each phase that took 0.1 s or more.

    Examples
    --------
    >>> seconds_text({"opening": 3.1, "encoding": 8.0, "merging": 0.02})
    '11.1 s (opening 3.1, encoding 8.0)'
    """
    shown = [f"{name} {value:.1f}" for name, value in seconds.items() if value >= 0.1]
    total = f"{sum(seconds.values()):.1f} s"
    return f"{total} ({', '.join(shown)})" if len(shown) > 1 else total


@contextmanager
def reporting(progress: bool | Report) -> Iterator[Report]:
    """Show the phases of a run until the block ends.

    Parameters
    ----------
    progress : bool or callable
        True shows the phases on standard error or in the notebook, and False shows nothing. A
        callable is called with each `Phase` instead.

    Yields
    ------
    callable
        Function to call with each new state, from any thread.
    """
    if callable(progress):
        yield progress
    elif not progress or sys.stderr is None or not _shown.acquire(blocking=False):
        yield silent
    else:
        try:
            with _display()() as report:
                yield report
        finally:
            _shown.release()


def _display() -> Callable[[], Any]:
    """Choose how to show a run."""
    if _is_notebook():
        return _in_notebook
    if _is_terminal(sys.stderr):
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        if console.is_terminal and not console.is_dumb_terminal:
            return lambda: _at_terminal(console)
    return _in_log


def _is_terminal(stream: Any) -> bool:
    """Return whether a stream is a terminal.

    The stream may be None, closed, or any object with which a program has replaced it.
    """
    with suppress(AttributeError, OSError, ValueError):
        return bool(stream.isatty())
    return False


def _is_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


@contextmanager
def _at_terminal(console: Any) -> Iterator[Report]:
    """Show the current phase as a bar, which is removed at the end."""
    from rich.live import Live

    clock = PhaseClock()
    # Rich prints lines of standard output above the bar, on standard error. If standard output is
    # a file or a pipe, the lines must go to the file or the pipe.
    is_shared = _is_terminal(sys.stdout)
    with Live(clock, console=console, transient=True, redirect_stdout=is_shared):
        yield clock


@contextmanager
def _in_log() -> Iterator[Report]:
    """Print the current phase every few seconds, and each phase that has ended."""
    clock, lock = PhaseClock(), Lock()
    begun = time.monotonic()
    next_line = begun + FIRST_LINE

    def report(phase: Phase) -> None:
        nonlocal next_line
        with lock:
            if not clock.is_in(phase.name):
                end()
                next_line = time.monotonic() + FIRST_LINE
            clock(phase)

    def end() -> None:
        is_long = clock.elapsed >= SHOWN_PHASE and time.monotonic() - begun >= FIRST_LINE
        if clock.phase is not None and is_long:
            _print(clock.text())

    def tick() -> None:
        nonlocal next_line
        with lock:
            now = time.monotonic()
            if clock.phase is not None and now >= next_line:
                _print(clock.text())
                next_line = now + min(max(FIRST_LINE, clock.elapsed / 5), LONGEST_WAIT)

    with _ticking(tick):
        yield report
    end()


@contextmanager
def _in_notebook() -> Iterator[Report]:
    """Show the current phase in the output of the cell, and at the end the time of each phase."""
    from IPython.display import display

    clock, lock = PhaseClock(), Lock()
    begun = time.monotonic()
    shown: Any = None

    def report(phase: Phase) -> None:
        with lock:
            clock(phase)

    def tick() -> None:
        nonlocal shown
        with lock:
            if clock.phase is None or time.monotonic() - begun < SHOWN_PHASE:
                return
            if shown is None:
                shown = display(clock.bundle(), raw=True, display_id=True)
            else:
                shown.update(clock.bundle(), raw=True)

    try:
        with _ticking(tick):
            yield report
    finally:
        if shown is not None:
            text = seconds_text(clock.stop())
            html = f"<span>{html_text(text)}</span>"
            shown.update({"text/plain": text, "text/html": html}, raw=True)


@contextmanager
def _ticking(tick: Callable[[], None], seconds: float = 0.5) -> Iterator[None]:
    """Call a function in a thread at intervals of some seconds."""
    stop = Event()

    def loop() -> None:
        while not stop.wait(seconds):
            tick()

    # A notebook finds the cell of an output in the context of the thread.
    thread = Thread(target=copy_context().run, args=(loop,), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _print(line: str) -> None:
    # One write keeps the lines of several threads apart. The stream may be closed.
    with suppress(OSError, ValueError):
        sys.stderr.write(terminal_text(line) + "\n")
