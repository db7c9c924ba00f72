"""What a page is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clipfeat.report.plots.plot import Plot


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the row.

    Parameters
    ----------
    heads : sequence of str
        Of the columns.
    rows : sequence of sequence of str
        Cells.
    caption : str
        Below it.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """One image of a gallery.

    Parameters
    ----------
    path : str
        Its name.
    said : str
        What is to be known of it.
    source : str
        A ``data:`` address of its thumbnail; empty where there is none.
    """

    path: str
    said: str
    source: str = ""


@dataclass(frozen=True)
class Notice:
    """A finding: how bad, what, and the images concerned."""

    severity: str
    check: str
    sentence: str
    numbers: str = ""
    rows: Sequence[str] = ()
    more: int = 0


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading; what it lacks is left out.

    Parameters
    ----------
    name : str
        Its anchor.
    title : str
        Its heading.
    says : sequence of str
        Paragraphs.
    points : sequence of str
        A list.
    notices : sequence of Notice
        Findings.
    html : str
        Trusted markup.
    listing : mapping of str to str
        Terms and what they are.
    code : str
        To be copied.
    table : Table, optional
        One that sorts.
    plots : sequence of Plot
        Pictures.
    small : bool
        Whether the pictures are, and stand many in a row.
    gallery : mapping of str to sequence of Picture
        By heading.
    """

    name: str
    title: str
    says: Sequence[str] = ()
    points: Sequence[str] = ()
    notices: Sequence[Notice] = ()
    html: str = ""
    listing: Mapping[str, str] | None = None
    code: str = ""
    table: Table | None = None
    plots: Sequence[Plot] = ()
    small: bool = False
    gallery: Mapping[str, Sequence[Picture]] | None = None
