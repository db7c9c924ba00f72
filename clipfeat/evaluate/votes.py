"""Votes of the classifiers of a benchmark, computed from their probabilities without further fits.

A learned vote has weights or a regression. They are learned for each fold on the training rows of
the fold, from out-of-fold probabilities of these rows. If there is a validation set, they are
learned on the validation set instead. The models of the other folds also predict the training rows
of a fold, and these predictions would need no further fits. However, they would leak, because these
models were trained on the test rows of the fold, including a held-out generator.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble import learn_weights, soft_vote
from clipfeat.ensemble.stacking import fit_blend, log_odds
from clipfeat.ensemble.vote_weights import WEIGHTINGS
from clipfeat.errors import UsageError, unknown_name
from clipfeat.evaluate.metrics import Probabilities
from clipfeat.features.by_file import one_per_file
from clipfeat.fits.cells import Cell
from clipfeat.zoo import CHANCE
from clipfeat.zoo.folds import Split

Combine = Callable[[Sequence[Probabilities]], Probabilities]
"""Function that takes the probabilities of each member, in the order of the members. It returns the
probabilities of the vote."""

VOTES = (*WEIGHTINGS, "stacking")
UNIFORM = "uniform"
GIVEN = "given"
VOTE_TITLES = {
    UNIFORM: "soft vote",
    "greedy": "soft vote, greedy",
    "log_loss": "soft vote, log loss",
    GIVEN: "soft vote, given",
    "stacking": "stacking",
}
"""Names of the votes in tables."""

SOFT_VOTE = VOTE_TITLES[UNIFORM]


@dataclass(frozen=True)
class Voting:
    """The votes of a run.

    Parameters
    ----------
    votes : sequence of str
        Names in `VOTES`, or `GIVEN`.
    given : mapping of str to float, optional
        Weight of each entry, for `GIVEN`.
    """

    votes: Sequence[str] = (UNIFORM,)
    given: Mapping[str, float] | None = None

    @property
    def learns(self) -> bool:
        """Whether a vote is learned from out-of-fold probabilities of the training rows."""
        return bool(set(self.votes) - {UNIFORM, GIVEN})


def parse_voting(
    vote: str | Sequence[str],
    weights: Sequence[float] | None,
    entries: Mapping[str, tuple[str, slice]],
) -> Voting:
    """Parse the votes of a benchmark with `parse_votes`. The chance classifier does not vote."""
    voters = [entry for entry, (name, _) in entries.items() if name != CHANCE]
    votes = parse_votes(vote, weights, voters)
    given = None if weights is None else dict(zip(voters, weights, strict=True))
    return Voting(votes if len(voters) > 1 else [v for v in votes if v == GIVEN], given)


def parse_votes(
    vote: str | Sequence[str], weights: Sequence[float] | None, voters: Sequence[str]
) -> list[str]:
    """Convert the value of ``--vote`` to a list of names.

    Parameters
    ----------
    vote : str or sequence of str
        Names in `VOTES`, a comma-separated list such as ``"uniform,greedy"``, or ``"all"``.
    weights : sequence of float, optional
        Weights of the voters. If they are given, `GIVEN` is added to the names.
    voters : sequence of str
        Names of the entries that vote.

    Raises
    ------
    UnknownNameError
        If a name is not in `VOTES`.
    UsageError
        If there is no name. If there is not one valid weight for each voter.
    """
    if isinstance(vote, str):
        names = [name.strip() for name in vote.split(",") if name.strip()]
    else:
        names = list(vote)
    votes = list(VOTES) if names == ["all"] else list(dict.fromkeys(names))
    for name in votes:
        if name not in VOTES:
            raise unknown_name("vote", name, (*VOTES, "all"))
    if not votes:
        raise UsageError(f"no vote is named in {vote!r}. Pass one or more of {', '.join(VOTES)}")
    if weights is None:
        return votes
    values = np.asarray(weights, dtype=np.float64)
    valid = values.shape == (len(voters),) and np.isfinite(values).all() and (values >= 0).all()
    if not valid or values.sum() == 0:
        raise UsageError(
            f"--vote-weights needs {len(voters)} numbers, one each for {', '.join(voters)}, got "
            f"{','.join(f'{v:g}' for v in values.ravel())}. Give {len(voters)} numbers that are "
            "not negative and not all zero"
        )
    return [*votes, GIVEN]


def cast_vote(
    vote: str,
    members: Mapping[str, Sequence[Cell]],
    splits: Sequence[Split],
    y: NDArray[np.int64],
    files: NDArray[np.str_],
    weights: Mapping[str, float] | None = None,
) -> tuple[list[Cell], dict[str, list[float]]]:
    """Compute the probabilities of a vote on every fold.

    Parameters
    ----------
    vote : str
        One of `VOTES`, or `GIVEN`.
    members : mapping of str to sequence of Cell
        For each entry that votes, its cells in the order of `splits`. For a learned vote, the cells
        need probabilities of the rows that it is learned on, in `Cell.train`.
    splits : sequence of (rows, test)
        Row numbers of the rows that a vote is learned on, and of the test rows of each fold.
    y : ndarray of shape (n_samples,)
        True class indices.
    files : ndarray of shape (n_samples,)
        The file of each row. A learned vote averages the rows of a file first.
    weights : mapping of str to float, optional
        Weight of each entry, for `GIVEN`.

    Returns
    -------
    cells : list of Cell
        One cell per fold. The costs of a cell are the total costs of the members with a positive
        weight.
    weights : dict of str to list of float
        For each entry, its weights in the folds. In each fold, the weights of all entries sum to 1.
        Empty for stacking.
    """
    fixed = None
    if vote in (UNIFORM, GIVEN):
        fixed = [1.0 if weights is None or vote == UNIFORM else weights[entry] for entry in members]
    cells: list[Cell] = []
    learned: dict[str, list[float]] = {}
    for number, (rows, _) in enumerate(splits):
        member_cells = [of_entry[number] for of_entry in members.values()]
        held_out = [cell.train for cell in member_cells if cell.train is not None]
        known = np.full(len(rows), bool(held_out))  # rows that all members predicted
        for p in held_out:
            known &= ~np.isnan(p).any(axis=1)
        held_out = [p[known] for p in held_out]
        if fixed is None:
            chosen_on = rows[known]
            by_file = [one_per_file(y[chosen_on], p, files[chosen_on])[:2] for p in held_out]
            combine, shares = learn_vote(vote, [p for _, p in by_file], by_file[0][0])
        else:
            combine, shares = weighted_vote(fixed)
        in_use = [True] * len(member_cells) if shares is None else [share > 0 for share in shares]
        costs: dict[str, float] = {}
        for cell in (cell for cell, used in zip(member_cells, in_use, strict=True) if used):
            for name, value in cell.costs.items():
                costs[name] = costs.get(name, 0.0) + value
        test = combine([cell.test for cell in member_cells])
        train: Probabilities | None = None
        if held_out:
            train = np.full((len(rows), test.shape[1]), np.nan)
            train[known] = combine(held_out)
        cells.append(Cell(test, train, costs))
        for entry, share in zip(members, shares if shares is not None else (), strict=False):
            learned.setdefault(entry, []).append(float(share))
    return cells, learned


def learn_vote(
    vote: str, held_out: Sequence[Probabilities], y: NDArray[np.int64]
) -> tuple[Combine, Sequence[float] | None]:
    """Learn a vote from out-of-fold probabilities.

    Returns
    -------
    combine : Combine
        Function that computes the probabilities of the vote.
    weights : sequence of float or None
        Weights of the members. None for stacking.

    Raises
    ------
    UsageError
        If the vote is stacking, and a class has no rows.
    """
    if vote == "stacking":
        blend = fit_blend(held_out, y)
        n_classes = held_out[0].shape[1]
        if len(blend.classes_) < n_classes:
            raise UsageError(
                f"stacking needs out-of-fold rows of all {n_classes} classes, but there are rows "
                f"of only {len(blend.classes_)} classes. Use another vote or more images"
            )

        def stacked(members: Sequence[Probabilities]) -> Probabilities:
            p: Probabilities = blend.predict_proba(log_odds(members))
            return p

        return stacked, None
    return weighted_vote(learn_weights(vote, held_out, y).tolist())


def weighted_vote(weights: Sequence[float]) -> tuple[Combine, Sequence[float]]:
    """Return the function of a vote with fixed weights, and the weights scaled to a sum of 1."""
    total = float(np.sum(weights))
    if not total:
        raise UsageError(
            "every classifier with a positive vote weight has failed. Fix the errors of the "
            "classifiers, or change --vote-weights"
        )
    shares = [float(weight) / total for weight in weights]
    return lambda members: soft_vote(members, shares), shares
