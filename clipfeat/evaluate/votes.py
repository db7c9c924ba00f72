"""Votes of a benchmark's entries, from the probabilities that it has: nothing is fitted again.

What a vote learns (weights, a regression) it learns for each fold from that fold's training rows
alone, from probabilities that are out of fold. Without inner folds these are what the other folds'
tests gave: no model that made them had seen the row it judged, but each had the fold's own rows
among its training rows, which is the one trace of them that is left. With a threshold there are
inner folds, and no trace.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble import learn_weights, soft_vote
from clipfeat.ensemble.stacking import fit_blend, log_odds
from clipfeat.ensemble.weights import WEIGHINGS
from clipfeat.errors import UsageError, unknown_name
from clipfeat.evaluate.cells import Cell
from clipfeat.splits import Split

Probabilities = NDArray[np.float64]
Combine = Callable[[Sequence[Probabilities]], Probabilities]

VOTES = (*WEIGHINGS, "stacking")
GIVEN = "given"
TITLES = {
    "uniform": "soft vote",
    "greedy": "soft vote, greedy",
    "log_loss": "soft vote, log loss",
    GIVEN: "soft vote, given",
    "stacking": "stacking",
}
"""How a vote is named in tables."""


def parse_votes(
    vote: str | Sequence[str], weights: Sequence[float] | None, voters: Sequence[str]
) -> list[str]:
    """Read ``"uniform,greedy"``, ``"all"`` or a sequence of names; given weights are one more.

    Raises
    ------
    UnknownNameError
        If one is not of `VOTES`.
    UsageError
        If there is none, or weights do not fit the voters.
    """
    asked = [v.strip() for v in vote.split(",") if v.strip()] if isinstance(vote, str) else [*vote]
    hows = list(VOTES) if asked == ["all"] else list(dict.fromkeys(asked))
    for how in hows:
        if how not in VOTES:
            raise unknown_name("vote", how, (*VOTES, "all"))
    if not hows:
        raise UsageError(f"name a vote: {', '.join(VOTES)}")
    if weights is None:
        return hows
    values = np.asarray(weights, dtype=np.float64)
    fit = values.shape == (len(voters),) and np.isfinite(values).all() and (values >= 0).all()
    if not fit or values.sum() == 0:
        raise UsageError(
            f"weights must be {len(voters)} numbers, none negative and not all zero, one each of "
            f"{', '.join(voters)}; got {','.join(f'{v:g}' for v in values.ravel())}"
        )
    return [*hows, GIVEN]


def cast(
    how: str,
    members: Mapping[str, Sequence[Cell]],
    splits: Sequence[Split],
    y: NDArray[np.int64],
    weights: Mapping[str, float] | None = None,
) -> tuple[list[Cell], dict[str, list[float]]]:
    """Let a benchmark's entries vote on every fold.

    Parameters
    ----------
    how : str
        One of `VOTES`, or `GIVEN`.
    members : mapping of str to sequence of Cell
        By entry, its cells in the order of `splits`.
    splits : sequence of (train, test)
        Row numbers.
    y : ndarray of shape (n_samples,)
        True class indices.
    weights : mapping of str to float, optional
        By entry, for `GIVEN`.

    Returns
    -------
    cells : list of Cell
        One a fold; it costs what its members of some weight cost.
    weights : dict of str to list of float
        By entry, one a fold; their sum over entries is 1. Empty for stacking.
    """
    fixed = None if weights is None else [weights[entry] for entry in members]
    test_of = [_everywhere([cell.test for cell in cells], splits, y) for cells in members.values()]
    cells: list[Cell] = []
    learned: dict[str, list[float]] = {}
    for number, (train, _) in enumerate(splits):
        of_fold = [of_entry[number] for of_entry in members.values()]
        inner = [cell.train for cell in of_fold if cell.train is not None]
        held = inner or [p[train] for p in test_of]
        known = ~np.isnan(np.hstack(held)).any(axis=1)
        combine, shares = learn(how, [p[known] for p in held], y[train][known], fixed)
        kept = [True] * len(of_fold) if shares is None else [share > 0 for share in shares]
        costs: dict[str, float] = {}
        for cell in (cell for cell, keep in zip(of_fold, kept, strict=True) if keep):
            for name, value in cell.costs.items():
                costs[name] = costs.get(name, 0.0) + value
        test = combine([cell.test for cell in of_fold])
        cells.append(Cell(test, combine(inner) if inner else None, costs))
        for entry, share in zip(members, shares if shares is not None else (), strict=False):
            learned.setdefault(entry, []).append(float(share))
    return cells, learned


def learn(
    how: str,
    held_out: Sequence[Probabilities],
    y: NDArray[np.int64],
    given: Sequence[float] | None = None,
) -> tuple[Combine, Sequence[float] | None]:
    """Learn a vote from out-of-fold probabilities: the vote, and its weights if it has any."""
    if how == "stacking":
        blend = fit_blend(held_out, y)
        n_classes = held_out[0].shape[1]
        if len(blend.classes_) < n_classes:
            raise UsageError("out-of-fold rows of a class are missing: stacking cannot learn it")

        def stacked(members: Sequence[Probabilities]) -> Probabilities:
            p: Probabilities = blend.predict_proba(log_odds(members))
            return p

        return stacked, None
    shares = given if how == GIVEN and given is not None else learn_weights(how, held_out, y)
    total = float(np.sum(shares))
    if not total:
        raise UsageError("every classifier with a weight has failed")
    normal = [float(share) / total for share in shares]
    return lambda members: soft_vote(members, normal), normal


def _everywhere(
    tests: Sequence[Probabilities], splits: Sequence[Split], y: NDArray[np.int64]
) -> Probabilities:
    """One entry's test probabilities at the rows they are of, NaN at rows in no test."""
    p = np.full((len(y), tests[0].shape[1]), np.nan)
    for of_fold, (_, test) in zip(tests, splits, strict=True):
        p[test] = of_fold
    return p
