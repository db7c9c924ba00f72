"""Protocols: what is trained on and what is tested on, in which order, how often.

A protocol is a list of trials, and a trial parts the rows so that each is tested at most once: five
folds are one trial; three seeds of them are three; training on each generator in turn and testing
on all of them is a trial for each.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatWarning, LabelError, UsageError
from clipfeat.evaluate.splits import Mask, cross_validation, leave_one_out, shared_rows
from clipfeat.features import FeatureSet
from clipfeat.zoo.folds import RowNumbers, Split, k_fold

FEW_SHOT_DRAWS = 5


@dataclass(frozen=True, eq=False)
class Trial:
    """One way of parting the rows.

    Parameters
    ----------
    splits : mapping of str to (train, test)
        Row numbers, by the name of the fold; no row is in two tests.
    seed : int
        Of the folds, the draw and the classifiers.
    trained_on : str
        The value of a column that all training rows have, in a matrix.
    n_train : int, optional
        Images of each class that are trained on, in a few-shot curve.
    tested_on : mapping of str to ndarray of shape (n_samples,), bool
        Where each fold's test is scored in pieces, the rows of each piece by its name.
    """

    splits: Mapping[str, Split]
    seed: int = 0
    trained_on: str = ""
    n_train: int | None = None
    tested_on: Mapping[str, Mask] = field(default_factory=dict)

    @property
    def pieces(self) -> Mapping[str, Mask | None]:
        """`tested_on`; where there is none, one nameless piece of all rows."""
        return self.tested_on or {"": None}

    @property
    def name(self) -> str:
        """As a heading: ``"trained on SDXL, seed 0"``."""
        on = [f"trained on {self.trained_on}"] if self.trained_on else []
        few = [] if self.n_train is None else [f"{self.n_train} images a class"]
        return ", ".join([*on, *few, f"seed {self.seed}"])


@dataclass(frozen=True, eq=False)
class Protocol:
    """Trials, and what they are together.

    Parameters
    ----------
    name : str
        In words: ``"5-fold"``.
    trials : sequence of Trial
        At least one.
    column : str
        The column by whose values the tests are told apart, if any.
    """

    name: str
    trials: Sequence[Trial]
    column: str = ""


def plan(
    data: FeatureSet,
    *,
    cv: int = 5,
    leave_out: str | None = None,
    matrix: str | None = None,
    few_shot: Sequence[int] = (),
    n_given: int | None = None,
    repeats: int | None = None,
    seed: int = 0,
) -> Protocol:
    """Lay out a protocol.

    Parameters
    ----------
    data : FeatureSet
        Labelled.
    cv : int
        Folds, of equal shares of every class; groups are never parted.
    leave_out : str, optional
        Instead: hold out each value of this column in turn; see
        `clipfeat.evaluate.splits.leave_one_out`.
    matrix : str, optional
        Instead: train on each value of this column in turn and test on each.
    few_shot : sequence of int, optional
        Instead: train on so many images of each class, drawn anew for each repeat, of which the
        smaller are part of the larger; tested on a fold of the `cv`, the next one for each repeat.
    n_given : int, optional
        Instead: so many of the first rows are to be trained on, the others are the test.
    repeats : int, optional
        How often, each with a seed of its own; None is once, for `few_shot` 5 times.
    seed : int
        The first.

    Raises
    ------
    UsageError
        If several protocols are asked for at once, or the column does not serve.
    LabelError
        If a class has fewer images, or groups, than folds.
    """
    asked = {"--leave-one-out": leave_out, "--matrix": matrix, "--few-shot": few_shot,
             "--test": n_given}  # fmt: skip
    several = [flag for flag, value in asked.items() if value]
    if len(several) > 1:
        raise UsageError(f"one protocol at a time, got {' and '.join(several)}")
    if repeats is not None and repeats < 1:
        raise UsageError(f"a protocol is run once or more, got {repeats} repeats")
    seeds = range(seed, seed + (repeats or (FEW_SHOT_DRAWS if few_shot else 1)))
    again = f", {len(seeds)} seeds" if len(seeds) > 1 else ""
    if leave_out:
        trials = [Trial(leave_one_out(data, leave_out, s), s) for s in seeds]
        return Protocol(f"leave one {leave_out} out{again}", trials, leave_out)
    if matrix:
        trials = [trial for s in seeds for trial in _matrix(data, matrix, cv, s)]
        return Protocol(f"each {matrix} against each, {cv}-fold{again}", trials, matrix)
    if few_shot:
        return Protocol(f"few images a class, {len(seeds)} draws", _few(data, few_shot, cv, seeds))
    if n_given is not None:
        rows = np.arange(len(data))
        given = {"test": (rows[:n_given], rows[n_given:])}
        return Protocol(f"a test set of its own{again}", [Trial(given, s) for s in seeds])
    trials = [Trial(_numbered(cross_validation(data, cv, s)), s) for s in seeds]
    return Protocol(f"{cv}-fold{again}", trials)


def _numbered(splits: Sequence[Split]) -> dict[str, Split]:
    return {str(i): split for i, split in enumerate(splits)}


def _matrix(data: FeatureSet, column: str, n_splits: int, seed: int) -> list[Trial]:
    """Train on each value, test on each; rows that all values share are shared among the folds.

    Folds are the same for every value, so that no training has seen a row, or a group, that any
    value's test holds.
    """
    values = data.column(column)
    shared = shared_rows(data, column)
    held = np.unique(values[~shared]).tolist()
    if len(held) < 2:
        raise UsageError(
            f"column {column!r} has {len(held)} values to train on; two or more are needed"
        )
    cells = np.array([f"{label}, {column} {value}" if value and not alone else label
                      for label, value, alone in zip(data.labels.tolist(), values.tolist(), shared,
                                                     strict=True)])  # fmt: skip
    folds = k_fold(cells, data.split_groups, n_splits, seed)
    pieces = {value: (values == value) & ~shared | shared for value in held}
    for value, mine in pieces.items():
        if len(np.unique(data.y[mine])) < 2:
            raise LabelError(
                f"{value!r} of {column!r} cannot be trained on: all its images are of one class"
            )
    return [
        Trial(
            {str(i): (train[pieces[value][train]], test) for i, (train, test) in enumerate(folds)},
            seed, value, tested_on=pieces,
        )
        for value in held
    ]  # fmt: skip


def _few(data: FeatureSet, sizes: Sequence[int], n_splits: int, seeds: range) -> list[Trial]:
    """For each seed a draw from one fold's training rows, of which smaller sizes are a part."""
    if min(sizes) < 1:
        raise UsageError(f"numbers of images a class are 1 or more, got {min(sizes)}")
    folds = cross_validation(data, n_splits, seeds[0])
    drawn: list[tuple[int, list[RowNumbers], RowNumbers]] = []
    for number, seed in enumerate(seeds):
        train, test = folds[number % len(folds)]
        firsts = train[np.unique(data.files[train], return_index=True)[1]]
        shuffled = np.random.default_rng(seed).permutation(firsts)
        of_class = [shuffled[data.y[shuffled] == code] for code in range(len(data.classes))]
        drawn.append((seed, of_class, test))
    most = min(len(files) for _, of_class, _ in drawn for files in of_class)
    kept = sorted({n for n in sizes if n <= most})
    if not kept:
        raise LabelError(f"the smallest class has {most} images to draw from: ask for fewer")
    if len(kept) < len(set(sizes)):
        warnings.warn(
            f"no training has {', '.join(str(n) for n in sizes if n > most)} images of each class, "
            f"the smallest has {most}: left out",
            ClipfeatWarning,
            stacklevel=4,
        )
    return [
        Trial({str(number): (_first(data, of_class, n), test)}, seed, n_train=n)
        for n in kept
        for number, (seed, of_class, test) in enumerate(drawn)
    ]


def _first(data: FeatureSet, of_class: Sequence[RowNumbers], n: int) -> NDArray[np.int64]:
    """The rows of the first files of each class."""
    chosen = np.concatenate([rows[:n] for rows in of_class])
    return np.flatnonzero(np.isin(data.files, data.files[chosen]))
