"""Votes of a benchmark's entries, from the probabilities that it has: nothing is fitted again.

What a vote learns (weights, a regression) it learns for each fold from that fold's training rows
alone, from probabilities that are out of fold among them. What the other folds' tests gave would be
cheaper, and would not do: the models that gave it have the fold's own rows, and the generator that
it holds out, among their training rows.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble import learn_weights, soft_vote
from clipfeat.ensemble.stacking import fit_blend, log_odds
from clipfeat.ensemble.weights import WEIGHTINGS
from clipfeat.errors import UsageError, unknown_name
from clipfeat.features.by_file import one_per_file
from clipfeat.fits.cells import Cell
from clipfeat.zoo.folds import Split

Probabilities = NDArray[np.float64]
Combine = Callable[[Sequence[Probabilities]], Probabilities]

VOTES = (*WEIGHTINGS, "stacking")
UNIFORM = "uniform"
GIVEN = "given"
TITLES = {
    UNIFORM: "soft vote",
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
    files: NDArray[np.str_],
    weights: Mapping[str, float] | None = None,
) -> tuple[list[Cell], dict[str, list[float]]]:
    """Let a benchmark's entries vote on every fold.

    Parameters
    ----------
    how : str
        One of `VOTES`, or `GIVEN`.
    members : mapping of str to sequence of Cell
        By entry, its cells in the order of `splits`; with probabilities of their training rows
        where the vote is learned.
    splits : sequence of (train, test)
        Row numbers.
    y : ndarray of shape (n_samples,)
        True class indices.
    files : ndarray of shape (n_samples,)
        The file of each row; a vote learns from files, whose parts are averaged.
    weights : mapping of str to float, optional
        By entry, for `GIVEN`.

    Returns
    -------
    cells : list of Cell
        One a fold; it costs what its members of some weight cost.
    weights : dict of str to list of float
        By entry, one a fold; their sum over entries is 1. Empty for stacking.
    """
    fixed = None
    if how in (UNIFORM, GIVEN):
        fixed = [1.0 if weights is None or how == UNIFORM else weights[entry] for entry in members]
    cells: list[Cell] = []
    learned: dict[str, list[float]] = {}
    for number, (train, _) in enumerate(splits):
        of_fold = [of_entry[number] for of_entry in members.values()]
        held_out = [cell.train for cell in of_fold if cell.train is not None]
        if fixed is None:
            known = [one_per_file(y[train], p, files[train])[:2] for p in held_out]
            combine, shares = learn(how, [p for _, p in known], known[0][0])
        else:
            combine, shares = weighted(fixed)
        kept = [True] * len(of_fold) if shares is None else [share > 0 for share in shares]
        costs: dict[str, float] = {}
        for cell in (cell for cell, keep in zip(of_fold, kept, strict=True) if keep):
            for name, value in cell.costs.items():
                costs[name] = costs.get(name, 0.0) + value
        test = combine([cell.test for cell in of_fold])
        cells.append(Cell(test, combine(held_out) if held_out else None, costs))
        for entry, share in zip(members, shares if shares is not None else (), strict=False):
            learned.setdefault(entry, []).append(float(share))
    return cells, learned


def learn(
    how: str, held_out: Sequence[Probabilities], y: NDArray[np.int64]
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
    return weighted(learn_weights(how, held_out, y).tolist())


def weighted(shares: Sequence[float]) -> tuple[Combine, Sequence[float]]:
    """The vote of given weights, and the weights with a sum of 1."""
    total = float(np.sum(shares))
    if not total:
        raise UsageError("every classifier with a weight has failed")
    normal = [float(share) / total for share in shares]
    return lambda members: soft_vote(members, normal), normal
