"""Tables and lists on standard output."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from clipfeat.cli.exits import print_line
from clipfeat.system.escaping import MAX_CELL, MAX_MESSAGE, rich_text, without_middle

if TYPE_CHECKING:
    from rich.console import Console

    from clipfeat.embedding.profile import Profile
    from clipfeat.evaluate.leaderboard import Leaderboard
    from clipfeat.evaluate.pivots import Pivot
    from clipfeat.evaluate.rates import RateTable
    from clipfeat.images.overview import SourceOverview

WIDTH_WITHOUT_TERMINAL = 200
HIDDEN_BELOW = {
    230: ("tpr_at_fpr_5", "tpr_at_fpr_1", "brier", "predict_seconds"),
    118: ("interval", "average_precision", "log_loss", "calibration_error", "model_bytes"),
}
"""Score columns that are hidden if the terminal is narrower than the key."""


def console() -> "Console":
    """Return a console as wide as the terminal, or 200 columns wide without a terminal."""
    from rich.console import Console

    on_terminal = Console(highlight=False)
    if on_terminal.is_terminal:
        return on_terminal
    return Console(highlight=False, width=WIDTH_WITHOUT_TERMINAL)


def print_profile(profile: "Profile") -> None:
    """Print how long an embedding run spent in each stage, and advice."""
    from rich.table import Table

    table = Table()
    table.add_column("stage")
    for title in ("threads", "busy", "images/s"):
        table.add_column(title, justify="right")
    for stage in profile.seconds:
        threads = str(profile.threads.get(stage, 1))
        busy, rate = f"{profile.busy(stage):.0%}", f"{profile.rate(stage):,.0f}"
        style = "bold" if stage == profile.bottleneck else None
        table.add_row(stage, threads, busy, rate, style=style)
    console().print(table)
    print_line(profile.advice)


def print_leaderboard(board: "Leaderboard", title: str) -> None:
    """Print a leaderboard with as many columns as the terminal has room for."""
    from rich.table import Table

    out = console()
    columns = board.columns
    names = visible_columns(columns, out.width)
    hidden = len(columns) - len(names)
    caption = (
        f"{hidden} columns do not fit. Widen the terminal, or use -o to save the table."
        if hidden
        else ""
    )
    table = Table(
        title=rich_text(title), title_justify="left", caption=caption, caption_justify="left"
    )
    table.add_column("classifier", no_wrap=True)
    for name in names:
        table.add_column(rich_text(columns[name]), justify="right", no_wrap=True)
    for row, entry in enumerate(board.entries):
        cells = (board.cell(entry, name) for name in names)
        table.add_row(*map(rich_text, (entry, *cells)), style="bold" if row == 0 else None)
    out.print(table)
    for note in board.notes:
        print_line(note)


def visible_columns(columns: Collection[str], width: int) -> list[str]:
    """Return the score columns that fit a terminal of the given width."""
    hidden = {name for least, names in HIDDEN_BELOW.items() if width < least for name in names}
    if width < min(HIDDEN_BELOW):
        hidden |= {name for name in columns if name.startswith("recall/")}
    return [name for name in columns if name not in hidden]


def print_pivot(pivot: "Pivot") -> None:
    """Print a pivot table of mean scores, such as training by test generators."""
    rows = [[down, *(pivot.text(down, across) for across in pivot.across)] for down in pivot.down]
    print_table(pivot.title, [pivot.corner, *pivot.across], rows)


def print_rates(table: "RateTable", entry: str) -> None:
    """Print the false positive rate of each source and the recall of each generator."""
    print_table(table.title(entry), table.heads, table.rows(entry))
    print_line(table.note)


def print_overview(overview: "SourceOverview") -> None:
    """Print the classes, generators and splits of a source, a few example paths, and notes."""
    print_line(overview.title)
    print_table("", overview.heads, overview.rows(), n_left=overview.n_names)
    print_line("for example:")
    print_list(overview.examples)
    for note in overview.notes:
        print_line(f"note: {note}")


def print_table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, n_left: int = 1
) -> None:
    """Print a table of text. Its first `n_left` columns are aligned to the left."""
    from rich.table import Table

    table = Table(title=rich_text(title) if title else None, title_justify="left")
    for number, head in enumerate(heads):
        table.add_column(rich_text(head), justify="left" if number < n_left else "right")
    for row in rows:
        table.add_row(*map(rich_text, row))
    console().print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values in two columns. Empty values are left out."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if value not in (None, "", [], {}):
            print_line(f"{name:<{width}}  {value}")


def print_list(items: Sequence[str], *, limit: int = 10) -> None:
    """Print up to `limit` items, one per line, then the number of further items.

    The middle of an item above `MAX_MESSAGE` is left out.
    """
    for item in items[:limit]:
        print_line(f"  {without_middle(item, MAX_MESSAGE)}")
    if len(items) > limit:
        print_line(f"  … and {len(items) - limit} more")


def counted(n: int, noun: str) -> str:
    """Format a number with its noun, in the plural if needed.

    Examples
    --------
    >>> counted(1, "image"), counted(24, "image")
    ('1 image', '24 images')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def short_name(name: str) -> str:
    """Return the name of a class without its middle if it is long, for lines that repeat it.

    Examples
    --------
    >>> short_name("real"), len(short_name("x" * 4096))
    ('real', 200)
    """
    return without_middle(name, MAX_CELL)


def of_all(n: int, total: int) -> str:
    """Format the number of scored images, with the total if some images were not scored.

    Examples
    --------
    >>> of_all(120, 200), of_all(24, 24)
    ('120 of 200', '24')
    """
    return f"{n} of {total}" if n < total else str(n)


def label_counts(labels: Mapping[str, int], *, limit: int = 12) -> str:
    """Format the number of images of each label as one line.

    Examples
    --------
    >>> label_counts({"real": 12, "fake": 12, "": 3})
    '12 fake, 12 real, 3 unlabelled'
    >>> label_counts({"": 3})
    'none'
    >>> label_counts({"0": 112, "1": 448})
    '112 of class 0, 448 of class 1'
    """
    from clipfeat.features.label_text import count_texts

    counts = count_texts({label: n for label, n in sorted(labels.items()) if label})
    more = [f"… {len(counts)} classes"] if len(counts) > limit else []
    if counts and labels.get(""):
        more.append(f"{labels['']} unlabelled")
    return ", ".join([*counts[:limit], *more]) or "none"
