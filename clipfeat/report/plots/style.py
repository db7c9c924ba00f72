"""Plot style: legible on white and on black, in print and without colour."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clipfeat.system.optional_libraries import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PAPER, RULE = "#1a1c20", "#ffffff", "#dddddd"
"""Colours of text and axes, of the background and of the grid. On the page, `inline` replaces them
by the colours of the reader's colour scheme."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#6f7fa0")
"""Colours after Okabe and Ito, which colour-blind readers can tell apart. Each has a contrast of 3
or more against white and against the dark background of the page. Two of the original colours are
darkened to reach this contrast."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))
HATCHES = ("", "///", "\\\\\\", "xxx", "---", "|||")
MAX_SERIES = len(COLOURS)
"""Maximum number of lines in one plot."""

MAX_LABEL = 34
"""Maximum number of characters of a label."""
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
    "svg.fonttype": "none",  # text stays text: smaller files, sharp at any zoom, searchable
    "text.color": INK,
    "text.parse_math": False,  # a class may be named "$5"
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def plot_style() -> Iterator[None]:
    """Apply the style, and ignore warnings about characters that the font lacks."""
    require("matplotlib", "drawing plots")
    from matplotlib import rc_context

    with rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(width: float, height: float, title: str) -> "tuple[Figure, Axes]":
    """Create a figure with one pair of axes; the size is in inches."""
    from clipfeat.report.plots.shown_figure import ShownFigure

    figure = ShownFigure(figsize=(width, height), layout="constrained")
    ax = figure.subplots()
    ax.set_title(title)
    return figure, ax


def label_text(text: str, longest: int = MAX_LABEL) -> str:
    r"""Make a name safe to draw: printable, shortened, and without a leading underscore.

    Matplotlib hides labels that start with an underscore, so a space is put before it.

    Examples
    --------
    >>> label_text("a\nb"), label_text("_x"), label_text("0123456789", 7)
    ('a�b', ' _x', '012…789')
    """
    plain = "".join(c if c.isprintable() else "\ufffd" for c in text)
    if len(plain) > longest:
        half = longest // 2
        plain = f"{plain[:half]}…{plain[-half:]}"
    return f" {plain}" if plain.startswith("_") else plain


def line_style(index: int) -> dict[str, Any]:
    """Return the colour, dash pattern, marker and SVG identifier of the line at an index."""
    turn = index % MAX_SERIES
    return {
        "color": COLOURS[turn], "linestyle": DASHES[turn], "marker": MARKERS[index % len(MARKERS)],
        "markersize": 4.5, "linewidth": 1.5, "gid": f"series-{index}",
    }  # fmt: skip


def add_legend(figure: "Figure", labels: Sequence[str], handles: Sequence[Any]) -> None:
    """Add a legend below the axes. Its items have SVG identifiers, as the lines have."""
    columns = 2 if len(labels) > 1 and max(map(len, labels)) <= 24 else 1
    legend = figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=9)
    for index, (handle, text) in enumerate(
        zip(legend.legend_handles, legend.get_texts(), strict=True)
    ):
        if handle is not None:
            handle.set_gid(f"key-{index}")
        text.set_gid(f"name-{index}")
