"""The query: which images the page shows, and in which order."""

from dataclasses import dataclass, field

ALL = "all"
ERRORS = "errors"
SEARCH = "search"
LISTED = "listed"


@dataclass(frozen=True)
class BrowseBrush:
    """A rectangle on a map, in the units of `clipfeat.browsing.projection.quantised`.

    Parameters
    ----------
    map : str
        Name of the map: ``"pca"`` or ``"umap"``.
    left, top, right, bottom : int
        Sides of the rectangle. Points on a side are inside.
    """

    map: str
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class BrowseQuery:
    """Selection and order of images.

    Parameters
    ----------
    show : str
        ``"all"``, ``"errors"``, ``"search"`` or the name of a list in
        `clipfeat.browsing.lists.LISTS`.
    order : str
        ``"listed"`` or the name of an order in `clipfeat.browsing.selecting.ORDERS`. ``"listed"``
        is the order of the shown list or of the search results, and otherwise the order of the
        feature file.
    entry : str
        Classifier whose predictions are used. Empty without a run.
    where : mapping of str to list of str
        Allowed values of each facet, by the key of the facet.
    path : str
        Text that the path must contain, in upper or lower case.
    brush : BrowseBrush, optional
        Rectangle on a map.
    rows : list of int
        With ``show="search"``, the found images, nearest first.
    """

    show: str = ALL
    order: str = LISTED
    entry: str = ""
    where: dict[str, list[str]] = field(default_factory=dict)
    path: str = ""
    brush: BrowseBrush | None = None
    rows: list[int] = field(default_factory=list)

    @property
    def is_list(self) -> bool:
        """Whether the query shows one of the lists."""
        return self.show not in (ALL, ERRORS, SEARCH)
