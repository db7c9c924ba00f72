"""One picture: as files, and inside a page."""

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipfeat.report.plots.style import INK, PAPER, RULE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_FOLLOWS = {INK: "currentColor", PAPER: "var(--paper)", RULE: "var(--rule)"}


@dataclass(frozen=True, eq=False)
class Plot:
    """A picture and what is said of it.

    Parameters
    ----------
    name : str
        Of its files, without a suffix.
    figure : Figure
        Drawn inside `clipfeat.report.plots.style.drawing`.
    caption : str
        How to read it.
    alt : str
        What it shows, for those who do not see it.
    """

    name: str
    figure: "Figure"
    caption: str
    alt: str

    def svg(self) -> str:
        """As SVG, the same text each time."""
        from matplotlib import rc_context

        with rc_context({"svg.hashsalt": self.name}), io.StringIO() as text:
            self.figure.savefig(text, format="svg", metadata=_NO_METADATA)
            return text.getvalue()

    def png(self) -> bytes:
        """As PNG, 150 dots an inch."""
        data = io.BytesIO()
        self.figure.savefig(data, format="png")
        return data.getvalue()


def inline(svg: str, prefix: str) -> str:
    """An SVG picture as an element of a page, in the page's ink and on its paper.

    Parameters
    ----------
    svg : str
        What `Plot.svg` gave.
    prefix : str
        Put before every identifier: those of two pictures are the same.
    """
    element = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", element)
    for drawn, shown in _FOLLOWS.items():
        element = element.replace(drawn, shown)
    return element.replace("<svg ", '<svg aria-hidden="true" ', 1)


def file_name(*parts: str) -> str:
    """A file's name made of any names: letters, digits and dashes.

    Examples
    --------
    >>> file_name("confusion", "svm @ timm:b0/x")
    'confusion-svm-timm-b0-x'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    return plain[:80] or "picture"
