"""Tests of filters and of sorting."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.browsing.query import BrowseBrush, BrowseQuery
from clipfeat.browsing.run_predictions import BrowsePredictions, predictions_of
from clipfeat.browsing.selecting import select
from clipfeat.errors import DataError, UnknownNameError
from tests.browsing.browsed import browse_data, with_split

FEATURES = with_split(4)
DATA = browse_data(FEATURES)
P_FAKE = np.array([0.1, 0.7, 0.9, 0.45, np.nan, 0.2, 0.55, 0.8])
"""The first four images are real. Rows 1, 2 and 5 are errors, and row 4 was not tested."""


def predictions() -> BrowsePredictions:
    return predictions_of(DATA, "svm", ("real", "fake"), np.stack([1 - P_FAKE, P_FAKE], axis=1))


def rows(query: BrowseQuery, **more: object) -> list[int]:
    own = predictions()
    facets = {**DATA.facets, **{facet.key: facet for facet in own.facets(FEATURES.y >= 0)}}
    selected: list[int] = select(DATA, query, facets, own, **more).tolist()  # type: ignore[arg-type]
    return selected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (BrowseQuery(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (BrowseQuery(show="errors"), [1, 2, 5]),
        (BrowseQuery(show="errors", order="mistakes"), [2, 5, 1]),
        (BrowseQuery(order="mistakes"), [2, 5, 1, 3, 6, 7, 0, 4]),
        (BrowseQuery(order="confidence"), [3, 6, 1, 5, 7, 0, 2, 4]),
        (BrowseQuery(where={"class": ["fake"]}), [4, 5, 6, 7]),
        (BrowseQuery(where={"class": ["fake"], "column:split": ["test"]}), [4]),
        (BrowseQuery(where={"column:split": ["test", "train"]}), [0, 1, 2, 3, 4, 5, 6, 7]),
        (BrowseQuery(where={"outcome": ["not tested"]}), [4]),
        (BrowseQuery(where={"predicted": ["fake"]}), [1, 2, 6, 7]),
        (BrowseQuery(where={"class": ["no such class"]}), []),
        (BrowseQuery(path="REAL/"), [0, 1, 2, 3]),
        (BrowseQuery(show="search", rows=[6, 0, 99, -1, 5]), [6, 0, 5]),
        (BrowseQuery(show="search", rows=[6, 0, 5], where={"class": ["fake"]}), [6, 5]),
    ],
)
def test_a_query_selects_and_orders(query: BrowseQuery, expected: list[int]) -> None:
    """Filters are combined, and images without a prediction come last."""
    assert rows(query) == expected


def test_a_brush_selects_points_of_a_map() -> None:
    """Points on the sides of the rectangle are selected."""
    points = np.array([[10 * i, 65535] for i in range(8)], dtype=np.uint16)
    brush = BrowseBrush("pca", 20, 65535, 40, 65535)
    assert rows(BrowseQuery(brush=brush), points=points) == [2, 3, 4]
    assert rows(BrowseQuery(brush=replace(brush, bottom=65534, top=0)), points=points) == []


def test_a_list_keeps_its_order_under_filters() -> None:
    """A filter keeps the order of a list. If the user chooses an order, the list is sorted."""
    listed = np.array([5, 1, 7, 0])
    assert rows(BrowseQuery(show="duplicates", path="fake"), listed=listed) == [5, 7]
    assert rows(BrowseQuery(show="duplicates", order="confidence"), listed=listed) == [1, 5, 7, 0]


def test_invalid_queries_are_refused() -> None:
    """Unknown filters and orders are named. The error filter needs predictions."""
    with pytest.raises(UnknownNameError, match="unknown filter 'column:none'"):
        rows(BrowseQuery(where={"column:none": ["x"]}))
    with pytest.raises(UnknownNameError, match="unknown order 'best'"):
        rows(BrowseQuery(order="best"))
    for query in (BrowseQuery(show="errors"), BrowseQuery(order="mistakes")):
        with pytest.raises(DataError, match="--run"):
            select(DATA, query, DATA.facets)
