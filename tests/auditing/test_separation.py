"""Tests of the separation of classes by one property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.auditing.separation import grouped_error, lower_bound, separation
from clipfeat.errors import LabelError


@pytest.mark.parametrize("n_per_class", [6, 12, 60])
def test_random_facts_give_no_finding(n_per_class: int) -> None:
    """None of 30 random numbers and 30 random texts separates the classes."""
    rng = np.random.default_rng(n_per_class)
    y = np.repeat([0, 1], n_per_class)
    for _ in range(30):
        for values in (rng.normal(size=len(y)), rng.choice(["JPEG", "PNG", "WEBP"], len(y))):
            assert separation(values, y, np.arange(len(y))).lower < 0.6


def test_a_fixed_value_is_detected() -> None:
    """A class with a fixed width is found, even if other widths are smaller and larger."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 100)
    widths = np.where(y == 1, 512.0, rng.choice([300.0, 400, 640, 800], 200))
    result = separation(widths, y, np.arange(200))
    assert result.auc == 1.0
    assert result.lower > 0.9


def test_one_class_of_several_is_named() -> None:
    """The result is the class that the property separates from the others."""
    y = np.repeat([0, 1, 2], 40)
    formats = np.where(y == 1, "PNG", "JPEG")
    assert separation(formats, y, np.arange(120)).code == 1


def test_groups_widen_the_bound() -> None:
    """If all images of a group have one score, the sample size is the number of groups."""
    rng = np.random.default_rng(0)
    positive = np.tile([True, False], 200)
    groups = np.repeat(np.arange(20), 20)
    scores = rng.normal(size=20)[groups] + positive * 1.0
    of_groups = np.where(positive, groups, -1 - groups)
    assert grouped_error(positive, scores, of_groups) > 2 * grouped_error(
        positive, scores, np.arange(400)
    )


@given(st.floats(0.01, 1), st.integers(2, 500), st.integers(2, 500))
def test_the_bound_rises_with_the_sample_size(auc: float, n: int, m: int) -> None:
    """The lower bound is below the AUC, and approaches it with more rows."""
    bound = lower_bound(auc, n, m)
    assert 0 <= bound <= auc
    assert lower_bound(auc, 4 * n, 4 * m) >= bound


def test_too_few_images_are_refused() -> None:
    """Four images per class are too few, and the error states this."""
    with pytest.raises(LabelError, match="known for too few groups of images"):
        separation(np.arange(8.0), np.repeat([0, 1], 4), np.arange(8))
