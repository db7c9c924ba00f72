"""Building blocks of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clipfeat.report.plots.plot import Plot


@dataclass(frozen=True)
class Table:
    """Sortable table of text cells; the first column names the row.

    Parameters
    ----------
    heads : sequence of str
        Column headings.
    rows : sequence of sequence of str
        Cells.
    caption : str
        Caption below the table.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class GalleryImage:
    """Image of a gallery.

    Parameters
    ----------
    path : str
        Path of the image.
    caption : str
        Caption above the path.
    source : str
        ``data:`` address of the thumbnail; empty if the image is not readable.
    """

    path: str
    caption: str
    source: str = ""


@dataclass(frozen=True)
class Notice:
    """Finding of an audit.

    Parameters
    ----------
    severity, check, sentence : str
        As in `clipfeat.auditing.finding.Finding`.
    numbers : str
        Numbers of the finding, as text.
    rows : sequence of str
        The first images that the finding is about.
    more : int
        Number of images that are not listed.
    """

    severity: str
    check: str
    sentence: str
    numbers: str = ""
    rows: Sequence[str] = ()
    more: int = 0


@dataclass(frozen=True)
class Section:
    """Section of the page; the template omits parts that are empty.

    Parameters
    ----------
    name : str
        Anchor.
    title : str
        Heading.
    paragraphs : sequence of str
        Paragraphs.
    bullets : sequence of str
        Items of a list.
    notices : sequence of Notice
        Findings.
    html : str
        Trusted markup.
    listing : mapping of str to str, optional
        Terms with their values.
    code : str
        Text in a monospaced block.
    table : Table, optional
        Table.
    plots : sequence of Plot
        Plots.
    small : bool
        Whether the plots are small, with several in a row.
    gallery : mapping of str to sequence of GalleryImage, optional
        Images by heading.
    """

    name: str
    title: str
    paragraphs: Sequence[str] = ()
    bullets: Sequence[str] = ()
    notices: Sequence[Notice] = ()
    html: str = ""
    listing: Mapping[str, str] | None = None
    code: str = ""
    table: Table | None = None
    plots: Sequence[Plot] = ()
    small: bool = False
    gallery: Mapping[str, Sequence[GalleryImage]] | None = None
