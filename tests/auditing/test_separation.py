"""How well one fact tells the classes apart, and how sure that is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.auditing.separation import grouped_error, lower_bound, separation
from clipfeat.errors import LabelError


@pytest.mark.parametrize("n_per_class", [6, 12, 60])
def test_facts_of_nothing_raise_no_alarm(n_per_class: int) -> None:
    """Of thirty random numbers and thirty random texts, none is found to tell the classes."""
    rng = np.random.default_rng(n_per_class)
    y = np.repeat([0, 1], n_per_class)
    for _ in range(30):
        for values in (rng.normal(size=len(y)), rng.choice(["JPEG", "PNG", "WEBP"], len(y))):
            assert separation(values, y, np.arange(len(y))).lower < 0.6


def test_what_is_neither_larger_nor_smaller_is_found() -> None:
    """One class of a fixed width among widths on both sides."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 100)
    widths = np.where(y == 1, 512.0, rng.choice([300.0, 400, 640, 800], 200))
    found = separation(widths, y, np.arange(200))
    assert found.auc == 1.0
    assert found.lower > 0.9


def test_one_class_of_several_is_named() -> None:
    """Of three classes, that which the fact tells from the others."""
    y = np.repeat([0, 1, 2], 40)
    formats = np.where(y == 1, "PNG", "JPEG")
    assert separation(formats, y, np.arange(120)).code == 1


def test_groups_make_it_less_sure() -> None:
    """A number that groups share is worth as many observations as there are groups."""
    rng = np.random.default_rng(0)
    mine = np.tile([True, False], 200)
    groups = np.repeat(np.arange(20), 20)
    scores = rng.normal(size=20)[groups] + mine * 1.0
    of_groups = np.where(mine, groups, -1 - groups)
    assert grouped_error(mine, scores, of_groups) > 2 * grouped_error(mine, scores, np.arange(400))


@given(st.floats(0.01, 1), st.integers(2, 500), st.integers(2, 500))
def test_the_bound_is_below_and_rises_with_the_number(auc: float, n: int, m: int) -> None:
    """The bound lies under the area, and nearer to it the more rows there are."""
    bound = lower_bound(auc, n, m)
    assert 0 <= bound <= auc
    assert lower_bound(auc, 4 * n, 4 * m) >= bound


def test_too_few_are_said() -> None:
    """Four images of a class are no ground for a finding."""
    with pytest.raises(LabelError, match="fewer than two classes"):
        separation(np.arange(8.0), np.repeat([0, 1], 4), np.arange(8))
