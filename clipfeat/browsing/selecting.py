"""Selection and order of images by a query."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from clipfeat.browsing.data import BrowseData, BrowseFacet
from clipfeat.browsing.query import ERRORS, LISTED, SEARCH, BrowseBrush, BrowseQuery
from clipfeat.browsing.run_predictions import BrowsePredictions
from clipfeat.errors import DataError, unknown_name

Rows = NDArray[np.int64]
NEEDS_RUN = "there are no predictions. Start `clipfeat app` with --run"


def confident_mistakes(predictions: BrowsePredictions) -> NDArray[np.float64]:
    """Rank wrong predictions first, by decreasing confidence, then the others by increasing."""
    confidence = predictions.confidence
    return np.where(predictions.wrong, -confidence, confidence)


def low_confidence(predictions: BrowsePredictions) -> NDArray[np.float64]:
    """Rank the least confident predictions first."""
    return predictions.confidence


ORDERS: dict[str, tuple[str, Callable[[BrowsePredictions], NDArray[np.float64]]]] = {
    "mistakes": ("most confident mistakes", confident_mistakes),
    "confidence": ("low confidence first", low_confidence),
}
"""Title and ranks of each order, by its name in a query. Low ranks come first, and NaN last."""


def select(
    data: BrowseData,
    query: BrowseQuery,
    facets: Mapping[str, BrowseFacet],
    predictions: BrowsePredictions | None = None,
    listed: Rows | None = None,
    points: NDArray[np.uint16] | None = None,
) -> Rows:
    """Return the rows that a query selects, in its order.

    Parameters
    ----------
    data : BrowseData
        The images.
    query : BrowseQuery
        The query.
    facets : mapping of str to BrowseFacet
        Facets of the data and of the predictions, by key.
    predictions : BrowsePredictions, optional
        Predictions of the query's classifier.
    listed : ndarray of int, optional
        Rows of the query's list, if it shows a list.
    points : ndarray of shape (n_files, 2), uint16, optional
        Points of the query's map, if it has a brush.

    Raises
    ------
    DataError
        If the query needs predictions, and there are none.
    UnknownNameError
        If a facet or an order is unknown.
    """
    keep = _matches(data, query, facets)
    if query.brush is not None and points is not None:
        keep &= inside(points, query.brush)
    if query.show == ERRORS:
        keep &= _needed(predictions).wrong
    rows = np.arange(len(data))
    if query.show == SEARCH:
        rows = np.array([row for row in query.rows if 0 <= row < len(data)], dtype=np.int64)
    elif query.is_list and listed is not None:
        rows = listed
    rows = rows[keep[rows]]
    if query.order == LISTED:
        return rows
    if query.order not in ORDERS:
        raise unknown_name("order", query.order, ORDERS)
    ranks = ORDERS[query.order][1](_needed(predictions))
    order: Rows = rows[np.argsort(ranks[rows], kind="stable")]
    return order


def inside(points: NDArray[np.uint16], brush: BrowseBrush) -> NDArray[np.bool_]:
    """Return whether each point of a map is in a rectangle.

    Examples
    --------
    >>> points = np.array([[0, 0], [5, 5], [9, 5]], dtype=np.uint16)
    >>> inside(points, BrowseBrush("pca", 4, 4, 9, 6)).tolist()
    [False, True, True]
    """
    x, y = points[:, 0].astype(np.int64), points[:, 1].astype(np.int64)
    columns = (x >= brush.left) & (x <= brush.right)
    result: NDArray[np.bool_] = columns & (y >= brush.top) & (y <= brush.bottom)
    return result


def _matches(
    data: BrowseData, query: BrowseQuery, facets: Mapping[str, BrowseFacet]
) -> NDArray[np.bool_]:
    keep = np.ones(len(data), dtype=np.bool_)
    for key, allowed in query.where.items():
        if key not in facets:
            raise unknown_name("filter", key, facets)
        chosen = np.array([value in allowed for value in facets[key].values], dtype=np.bool_)
        keep &= chosen[facets[key].codes]
    if query.path:
        text = query.path.lower()
        keep &= np.array([text in path.lower() for path in data.paths.tolist()], dtype=np.bool_)
    return keep


def _needed(predictions: BrowsePredictions | None) -> BrowsePredictions:
    if predictions is None:
        raise DataError(NEEDS_RUN)
    return predictions
