"""How pictures look: readable on white and on black, in print and without colour."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PAPER, RULE = "#1a1c20", "#ffffff", "#dddddd"
"""Text and axes, background, grid: in a page these three follow the reader's colour scheme."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#6f7fa0")
"""After Okabe and Ito, told apart by the colour-blind; each has a contrast of 3 or more against
white and against the page's dark background, for which two of theirs are darkened."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))
HATCHES = ("", "///", "\\\\\\", "xxx", "---", "|||")
MOST = len(COLOURS)
"""Lines in one picture."""

LONGEST = 34
SETTINGS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.facecolor": PAPER,
    "font.size": 10,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "legend.labelcolor": INK,
    "savefig.dpi": 150,
    "svg.fonttype": "none",  # text stays text: small, sharp, found by a search
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5"
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw and save in this style, without a word on letters that the font lacks."""
    from matplotlib import rc_context

    with rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def blank(width: float, height: float, title: str) -> "tuple[Figure, Axes]":
    """An empty picture of one pair of axes, so many inches wide and high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    ax = figure.subplots()
    ax.set_title(title)
    return figure, ax


def named(text: str, longest: int = LONGEST) -> str:
    r"""A name from outside as it can be drawn: printable, not too long, never a hidden label.

    Examples
    --------
    >>> named("a\nb"), named("_x"), named("0123456789", 7)
    ('a�b', ' _x', '012…789')
    """
    plain = "".join(c if c.isprintable() else "\ufffd" for c in text)
    if len(plain) > longest:
        half = longest // 2
        plain = f"{plain[:half]}…{plain[-half:]}"
    return f" {plain}" if plain.startswith("_") else plain


def line_style(place: int) -> dict[str, Any]:
    """Colour, dash and marker of the line at a place, all three its own."""
    turn = place % MOST
    return {
        "color": COLOURS[turn], "linestyle": DASHES[turn], "marker": MARKERS[place % len(MARKERS)],
        "markersize": 4.5, "linewidth": 1.5,
    }  # fmt: skip


def legend(figure: "Figure", labels: Sequence[str], handles: Sequence[Any]) -> None:
    """Name what is drawn, below it."""
    columns = 2 if len(labels) > 1 and max(map(len, labels)) <= 24 else 1
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=9)
