"""A plot with its texts, exported to SVG, PNG and inline markup."""

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipfeat.report.plots.style import INK, PAPER, RULE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_PAGE_COLOURS = {INK: "currentColor", PAPER: "var(--paper)", RULE: "var(--rule)"}


@dataclass(frozen=True, eq=False)
class Plot:
    """A figure with its caption and its alternative text.

    Parameters
    ----------
    name : str
        File name without a suffix.
    figure : Figure
        The figure, drawn inside `clipfeat.report.plots.style.plot_style`.
    caption : str
        How to read the plot.
    alt : str
        Alternative text with the main numbers.
    """

    name: str
    figure: "Figure"
    caption: str
    alt: str

    def svg(self) -> str:
        """Return the figure as SVG; the same figure gives the same text."""
        from matplotlib import rc_context

        with rc_context({"svg.hashsalt": self.name}), io.StringIO() as text:
            self.figure.savefig(text, format="svg", metadata=_NO_METADATA)
            return text.getvalue()

    def svg_and_png(self) -> tuple[str, bytes]:
        """Return the figure in both formats, with one layout for both.

        The layout takes about as much time as the drawing.
        """
        svg = self.svg()
        self.figure.set_layout_engine(None)
        return svg, self.png()

    def png(self) -> bytes:
        """Return the figure as PNG with 150 dots per inch."""
        data = io.BytesIO()
        self.figure.savefig(data, format="png")
        return data.getvalue()


def inline(svg: str, prefix: str) -> str:
    """Turn an SVG file into inline markup that uses the colours of the page.

    Parameters
    ----------
    svg : str
        The text that `Plot.svg` returned.
    prefix : str
        Prefix of every identifier, because several plots have the same identifiers.
    """
    element = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", element)
    for colour, page_colour in _PAGE_COLOURS.items():
        element = element.replace(colour, page_colour)
    return element.replace("<svg ", '<svg aria-hidden="true" ', 1)


def file_name(*parts: str) -> str:
    """Make a file name of letters, digits and dashes from any names.

    Examples
    --------
    >>> file_name("confusion", "svm @ timm:b0/x")
    'confusion-svm-timm-b0-x'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    return plain[:80] or "plot"
