"""Tests that grouped folds are scikit-learn's."""

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from clipfeat.zoo.group_folds import stratified_group_folds


@given(
    data=st.data(),
    n_splits=st.integers(2, 10),
    n_classes=st.integers(2, 12),
    n_groups=st.integers(10, 80),
    seed=st.integers(0, 99),
)
def test_the_folds_are_those_of_scikit_learn(
    data: st.DataObject, n_splits: int, n_classes: int, n_groups: int, seed: int
) -> None:
    """Each row is in the same fold, also with single rows as groups and with ties."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n_more = data.draw(st.integers(0, 80))
    groups = rng.permutation(np.r_[np.arange(n_groups), rng.integers(0, n_groups, n_more)])
    y = rng.choice(n_classes, len(groups), p=rng.dirichlet(np.ones(n_classes)))
    y[:10] = 0  # scikit-learn needs a class with at least as many rows as folds
    expected = np.empty(len(y), dtype=np.int64)
    with warnings.catch_warnings(action="ignore"):
        splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
        for fold, (_, test) in enumerate(splitter.split(y, y, groups)):
            expected[test] = fold
    names = np.array([f"{group:03d}" for group in groups])
    assert stratified_group_folds(y, names, n_splits, seed).tolist() == expected.tolist()
