"""What is seen while it runs, and tables: bars on a terminal, plain lines in a log."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from clipfeat.embedding.profile import Profile
    from clipfeat.embedding.run import Progress
    from clipfeat.evaluate.trials import Step
    from clipfeat.report import Leaderboard
    from clipfeat.report.pivot import Pivot
    from clipfeat.store.streaming import ReadProgress

LINE_SECONDS = 10.0
HIDDEN_BELOW = {
    230: ("tpr_at_fpr_5", "tpr_at_fpr_1", "brier", "predict_seconds"),
    118: ("interval", "average_precision", "log_loss", "calibration_error", "model_bytes"),
}
"""Columns of scores for which a window must be as wide as that."""


def console(*, stderr: bool = False) -> "Console":
    """A console; as wide as the terminal, or wide enough for any table where there is none."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=200)


@contextmanager
def image_bar(doing: str) -> Iterator[Callable[["Progress"], None]]:
    """Show images done, images/s and the time left."""
    out = console(stderr=True)
    with _bar(out, doing, "images") if out.is_terminal else _lines(doing, "images") as show:

        def tell(progress: "Progress") -> None:
            failed = f", {progress.failed} failed" if progress.failed else ""
            show(progress.done, progress.total, failed)

        yield tell


@contextmanager
def step_bar(doing: str) -> Iterator[Callable[["Step"], None]]:
    """Show the classifiers and folds done."""
    out = console(stderr=True)
    with _bar(out, doing, "fits") if out.is_terminal else _lines(doing, "fits") as show:

        def tell(step: "Step") -> None:
            show(step.done, step.total, f", {step.entry}")

        yield tell


@contextmanager
def _bar(out: "Console", doing: str, unit: str) -> Iterator[Callable[[int, int, str], None]]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    begun = time.monotonic()
    with Progress(*columns, console=out, transient=True) as bars:
        task = bars.add_task(doing, total=None, rate="", note="")

        def show(done: int, total: int, note: str) -> None:
            rate = done / max(time.monotonic() - begun, 1e-9)
            bars.update(
                task, completed=done, total=total, rate=f"{rate:,.0f} {unit}/s",
                note=note.removeprefix(", "),
            )  # fmt: skip

        yield show


@contextmanager
def _lines(doing: str, unit: str) -> Iterator[Callable[[int, int, str], None]]:
    from clipfeat.cli.exits import say

    begun = last = time.monotonic()

    def show(done: int, total: int, note: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            rate = done / (now - begun)
            left = (total - done) / rate if rate else 0.0
            say(f"{doing}: {done}/{total} {unit}, {rate:,.1f} {unit}/s, {left:,.0f} s left{note}")

    yield show


def pass_lines() -> "Callable[[ReadProgress], None]":
    """Show, every ten seconds, how far a pass over features on the disk is."""
    from clipfeat.cli.exits import say

    last = time.monotonic()

    def tell(reading: "ReadProgress") -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            share = reading.done / reading.total
            say(f"pass {reading.number} over {reading.total:,} images: {share:.0%}")

    return tell


def print_profile(profile: "Profile") -> None:
    """Print where the time of an embedding run went."""
    from rich.table import Table

    table = Table()
    table.add_column("stage")
    for title in ("threads", "busy", "images/s"):
        table.add_column(title, justify="right")
    for stage in profile.seconds:
        threads = str(profile.threads.get(stage, 1))
        busy, rate = f"{profile.busy(stage):.0%}", f"{profile.rate(stage):,.0f}"
        marked = "bold" if stage == profile.bottleneck else None
        table.add_row(stage, threads, busy, rate, style=marked)
    console().print(table)
    print(profile.advice)


def print_leaderboard(board: "Leaderboard", title: str) -> None:
    """Print a leaderboard on standard output, with as many columns as fit."""
    from rich.table import Table

    out = console()
    columns = board.columns
    names = shown(columns, out.width)
    hidden = "" if len(names) == len(columns) else "a wider window, or -o, shows every metric"
    table = Table(title=title, title_justify="left", caption=hidden, caption_justify="left")
    table.add_column("classifier", no_wrap=True)
    for name in names:
        table.add_column(columns[name], justify="right", no_wrap=True)
    for place, entry in enumerate(board.entries):
        cells = (board.cell(entry, name) for name in names)
        table.add_row(entry, *cells, style="bold" if place == 0 else None)
    out.print(table)


def shown(columns: Collection[str], width: int) -> list[str]:
    """The columns of scores that a window has room for."""
    hidden = {name for least, names in HIDDEN_BELOW.items() if width < least for name in names}
    if width < min(HIDDEN_BELOW):
        hidden |= {name for name in columns if name.startswith("recall/")}
    return [name for name in columns if name not in hidden]


def print_pivot(pivot: "Pivot") -> None:
    """Print a small table of means."""
    from rich.table import Table

    table = Table(title=pivot.title, title_justify="left")
    table.add_column(pivot.corner, no_wrap=True)
    for across in pivot.across:
        table.add_column(across, justify="right")
    for down in pivot.down:
        table.add_row(down, *(pivot.text(down, across) for across in pivot.across))
    console().print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values in two columns, leaving out what is empty."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if value not in (None, "", [], {}):
            print(f"{name:<{width}}  {value}")


def listed(items: Sequence[str], most: int = 10) -> str:
    """Up to `most` items, a line each, and how many more there are."""
    more = [f"… and {len(items) - most} more"] if len(items) > most else []
    return "\n".join(f"  {item}" for item in [*items[:most], *more])
