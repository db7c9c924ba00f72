"""Tests of the soft vote."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from clipfeat.ensemble import SoftVotingClassifier, align, soft_vote
from clipfeat.errors import DataError, UsageError


@parametrize_with_checks(
    [SoftVotingClassifier([("lr", LogisticRegression()), ("nb", GaussianNB())])]
)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    """`SoftVotingClassifier` passes scikit-learn's estimator checks."""
    check(estimator)


probabilities = st.integers(1, 4).flatmap(
    lambda members: st.lists(
        st.lists(st.floats(0.001, 1), min_size=3, max_size=3), min_size=members, max_size=members
    )
)


@settings(max_examples=100, deadline=None)
@given(probabilities, st.randoms(use_true_random=False))
def test_votes_are_averages(raw: list[list[float]], random: Any) -> None:
    """Rows sum to 1, lie between the members' rows, and do not depend on the members' order."""
    members = [np.array([row]) / np.sum(row) for row in raw]
    vote = soft_vote(members)
    stacked = np.concatenate(members)
    assert np.isclose(vote.sum(), 1)
    assert (vote >= stacked.min(axis=0) - 1e-12).all()
    assert (vote <= stacked.max(axis=0) + 1e-12).all()
    shuffled = members[:]
    random.shuffle(shuffled)
    assert np.allclose(soft_vote(shuffled), vote)


@pytest.mark.parametrize("scores", [[[2.0, -1.0]], [[0.3, 0.3]], [[np.nan, 1.0]], [[1.2, -0.2]]])
def test_only_probabilities_are_accepted(scores: list[list[float]]) -> None:
    """Members that return decision values, unnormalised scores or NaN are errors."""
    with pytest.raises(DataError, match="not probabilities"):
        soft_vote([scores])


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]])
def test_invalid_weights_are_refused(weights: list[float]) -> None:
    """Weights must match the members, must not be negative, and must not all be zero."""
    with pytest.raises(UsageError, match="weight"):
        soft_vote([[[0.5, 0.5]], [[0.5, 0.5]]], weights)


def test_an_unseen_class_is_a_zero_column() -> None:
    """A class that a member has not seen gets a zero column from this member."""
    assert align(np.array([[0.3, 0.7]]), [0, 2], [0, 1, 2]).tolist() == [[0.3, 0.0, 0.7]]


def test_members_of_zero_weight_are_not_run() -> None:
    """A member of zero weight is not fitted."""
    X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    members = [("nb", GaussianNB()), ("lr", LogisticRegression())]
    vote = SoftVotingClassifier(members, weights=[1, 0]).fit(X, y)
    assert list(vote.estimators_) == ["nb"]
    assert np.allclose(vote.predict_proba(X), GaussianNB().fit(X, y).predict_proba(X))


def test_members_parameters_can_be_set() -> None:
    """Parameters of members are set by name, as a grid search does."""
    vote = SoftVotingClassifier([("lr", LogisticRegression()), ("nb", GaussianNB())])
    assert vote.set_params(lr__C=2.0).get_params()["lr__C"] == 2.0
