"""Tests of vote weights learned from out-of-fold probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.ensemble import learn_weights, soft_vote
from clipfeat.ensemble.vote_weights import WEIGHTINGS
from clipfeat.errors import DataError, UnknownNameError
from clipfeat.evaluate.metrics import METRICS

seeds = st.integers(0, 10_000)


def members(seed: int, n: int = 60, n_classes: int = 3) -> tuple[list[np.ndarray], np.ndarray]:
    """Simulate a good member, a weak one, and one that guesses."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    truth = np.eye(n_classes)[y]
    return [rng.dirichlet(np.ones(n_classes), n) * (1 - k) + k * truth for k in (0.5, 0.2, 0.0)], y


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(["greedy", "log_loss"]))
def test_learned_weights_are_no_worse_than_one_member_or_all(seed: int, how: str) -> None:
    """Their training log loss is at most that of any member, or for log_loss of any weights."""
    p, y = members(seed)
    weights = learn_weights(how, p, y)
    learned = METRICS["log_loss"].function(y, soft_vote(p, weights.tolist()))
    assert weights.sum() == pytest.approx(1)
    assert learned <= min(METRICS["log_loss"].function(y, one) for one in p) + 1e-3
    if how == "log_loss":
        assert learned <= METRICS["log_loss"].function(y, soft_vote(p)) + 1e-3
        for nearby in np.random.default_rng(seed).dirichlet(weights * 50 + 0.1, 20):
            assert learned <= METRICS["log_loss"].function(y, soft_vote(p, nearby.tolist())) + 1e-3


@pytest.mark.parametrize("how", ["greedy", "log_loss"])
def test_a_guessing_member_gets_zero_weight(how: str) -> None:
    """A member that guesses is dropped."""
    p, y = members(1, 2000)
    assert learn_weights(how, p, y)[2] == 0


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(list(WEIGHTINGS)))
def test_the_order_of_members_does_not_matter(seed: int, how: str) -> None:
    """Reversed members get reversed weights."""
    p, y = members(seed)
    assert np.allclose(learn_weights(how, p, y)[::-1], learn_weights(how, p[::-1], y), atol=1e-3)


def test_invalid_requests_are_refused() -> None:
    """An unknown weighting and an empty set of rows are errors."""
    p, y = members(0)
    with pytest.raises(UnknownNameError, match="did you mean greedy"):
        learn_weights("gredy", p, y)
    with pytest.raises(DataError, match="but there are none"):
        learn_weights("greedy", [one[:0] for one in p], y[:0])
