"""Tests of near duplicates and of grouping them."""

from dataclasses import replace

import numpy as np

from clipfeat.features import FeatureSet
from clipfeat.features import near_duplicates as module
from clipfeat.features.near_duplicates import near_duplicates


def with_chain() -> FeatureSet:
    """Make 40 rows of noise in which rows 0 and 1, and rows 2 and 3, are near duplicates."""
    X = np.random.default_rng(0).normal(size=(40, 32))
    X[1], X[3] = X[0] + 0.02, X[2] - 0.02
    return FeatureSet.from_arrays(X, [0, 1] * 20)


def test_joined_groups_are_connected_components() -> None:
    """Pairs and groups are joined to connected components. Other rows keep their groups."""
    features = with_chain()
    groups = features.near_duplicates_grouped().groups
    assert groups is not None
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert set(groups[4:]) == {""}
    of_patient = np.array(["", "b", "b", "", "a", "b", *[""] * 34])
    groups = replace(features, groups=of_patient).near_duplicates_grouped().groups
    assert groups is not None
    assert groups[:6].tolist() == ["b", "b", "b", "b", "a", "b"]
    assert set(groups[6:]) == {""}


def test_a_sample_of_queries_finds_the_duplicates_of_its_rows() -> None:
    """Queries can be limited to some rows or to a number of files."""
    features = with_chain()
    assert near_duplicates(features).tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]
    assert near_duplicates(features, np.arange(40) == 1).tolist() == [[1, 0]]
    assert len(near_duplicates(features, max_queries=0)) == 0


def test_many_copies_of_one_image_are_one_group() -> None:
    """Many similar images give one group, without listing all their pairs."""
    rng = np.random.default_rng(0)
    n = 2 * module.MAX_LINKS
    X = rng.normal(size=(3 * n, 32))
    X[:n] = X[0] + rng.normal(scale=0.01, size=(n, 32))
    features = FeatureSet.from_arrays(X, [0, 1, 0] * n)
    assert len(near_duplicates(features)) <= n
    groups = features.near_duplicates_grouped().groups
    assert groups is not None
    assert len(set(groups[:n])) == 1
    assert set(groups[n:]) == {""}
