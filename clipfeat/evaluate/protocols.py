"""Protocols: how a feature set is split into training and test rows.

Each protocol is an object with a method ``plan``. `clipfeat.benchmark` takes any protocol, as
scikit-learn's ``cv`` takes any splitter. A plan sorts the rows by content hash, so that the splits
do not depend on the order in which images were embedded. The rows of a group are never in both
training and test, except with `OfficialSplit`, whose split is given.
`OfficialSplit` is in `clipfeat.evaluate.official_split`.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatWarning, LabelError, UsageError
from clipfeat.evaluate.plan import Plan, Trial
from clipfeat.evaluate.splits import cross_validation, leave_one_out, shared_rows
from clipfeat.features import FeatureSet, stack
from clipfeat.zoo.folds import Split, k_fold

FEW_SHOT_DRAWS = 5
FOLDS = 5
"""Number of folds of a cross-validation, unless the user chooses another."""


class Protocol(ABC):
    """Base class of the evaluation protocols.

    Attributes
    ----------
    balance : str
        Value of `FitOptions.balance` that ``"auto"`` selects with this protocol. The class
        attribute is ``"prior"`` if the protocol determines the class frequencies of its training
        sets. In all 8 measured cases of leave-one-out and matrix, ``"prior"`` raised the mean
        balanced accuracy of four classifiers by 0.04 to 0.19. In 7 of the cases, it was the best
        method. See ``benchmarks/README.md``.
    """

    balance: ClassVar[str] = "none"

    @abstractmethod
    def plan(self, features: FeatureSet, random_state: int = 0) -> Plan:
        """Split a feature set into the training and test rows of each trial.

        Parameters
        ----------
        features : FeatureSet
            Labelled images. Rows without a label are left out.
        random_state : int
            Random seed of the first trial. Repeats use the seeds that follow.

        Returns
        -------
        Plan
            The trials, and the rows that they split, sorted by content hash.

        Raises
        ------
        LabelError
            If there are no labels or there is only one class. If a class has too few images or
            groups.
        UsageError
            If the number of folds or repeats is too small. If the column is missing or cannot be
            used by the protocol.
        """


@dataclass(frozen=True)
class KFold(Protocol):
    """Stratified cross-validation that keeps each group in one fold.

    Parameters
    ----------
    n_splits : int
        Number of folds, at least 2.
    repeats : int
        Number of repetitions, each with a different seed.
    tested_view : str
        Name of the view that is tested, such as ``"original"``. The other views of the images are
        only trained on. If it is empty, all views are tested.

    Examples
    --------
    >>> features = FeatureSet.from_arrays(np.eye(6), ["cat", "dog"] * 3)
    >>> trial = KFold(3).plan(features).trials[0]
    >>> [test.tolist() for _, test in trial.splits.values()]
    [[3, 4], [2, 5], [0, 1]]
    """

    n_splits: int = FOLDS
    repeats: int = 1
    tested_view: str = ""

    def plan(self, features: FeatureSet, random_state: int = 0) -> Plan:
        """Split into stratified folds. See `Protocol.plan`."""
        data = labelled_rows(features)
        seeds = trial_seeds(self.repeats, random_state)
        splits = [cross_validation(data, self.n_splits, seed) for seed in seeds]
        name = f"{self.n_splits}-fold{repeated(seeds)}"
        if self.tested_view:
            tested = data.column("view") == self.tested_view
            splits = [[(train, test[tested[test]]) for train, test in folds] for folds in splits]
            name += f", tested on the view {self.tested_view}"
        trials = [Trial(_numbered(of), seed) for of, seed in zip(splits, seeds, strict=True)]
        return Plan(name, data, trials)


@dataclass(frozen=True)
class LeaveOneOut(Protocol):
    """Protocol that holds out each value of a column in turn, such as each generator.

    Some classes have no values that can be held out, such as photographs if the column is the
    generator. Their rows are divided among the test sets. See
    `clipfeat.evaluate.splits.leave_one_out`. If a test set has rows of one class only, its only
    score is the recall of this class, and a warning is issued.

    Parameters
    ----------
    column : str
        Name of a column, such as ``"generator"``.
    repeats : int
        Number of repetitions, each with a different seed.
    """

    balance = "prior"

    column: str
    repeats: int = 1

    def plan(self, features: FeatureSet, random_state: int = 0) -> Plan:
        """Make one fold for each value of the column. See `Protocol.plan`."""
        data = labelled_rows(features)
        seeds = trial_seeds(self.repeats, random_state)
        trials = [Trial(leave_one_out(data, self.column, s), s) for s in seeds]
        _warn_of_one_class(data, self.column, trials[0])
        name = f"leave one {self.column} out{repeated(seeds)}"
        return Plan(name, data, trials, self.column, balance=self.balance)


@dataclass(frozen=True)
class Matrix(Protocol):
    """Protocol that trains on each value of a column in turn, and tests on every value.

    All values use the same folds. In each fold, the rows of a group are either all training rows or
    all test rows, even if the rows have different values.

    Parameters
    ----------
    column : str
        Name of a column, such as ``"generator"``.
    n_splits : int
        Number of folds, at least 2.
    repeats : int
        Number of repetitions, each with a different seed.
    """

    balance = "prior"

    column: str
    n_splits: int = 5
    repeats: int = 1

    def plan(self, features: FeatureSet, random_state: int = 0) -> Plan:
        """Make one trial for each value of the column. See `Protocol.plan`."""
        data = labelled_rows(features)
        seeds = trial_seeds(self.repeats, random_state)
        trials = [trial for s in seeds for trial in _matrix(data, self.column, self.n_splits, s)]
        name = f"train on each {self.column}, test on each, {self.n_splits}-fold{repeated(seeds)}"
        return Plan(name, data, trials, self.column, balance=self.balance)


@dataclass(frozen=True)
class FewShot(Protocol):
    """Protocol that trains on a few images of each class, for a learning curve.

    Each repeat samples images from the training rows of one fold, and tests on the test rows of
    this fold. The next repeat uses the next fold. Within a repeat, a smaller sample is a subset of
    every larger sample.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of training images per class, such as ``(10, 100, 1000)``. If a class has fewer
        training images than a size, this size is left out with a warning.
    repeats : int
        Number of repetitions, each with a new sample and a different seed.
    n_splits : int
        Number of folds, at least 2. Each test set has about ``1 / n_splits`` of the rows.
    """

    sizes: Sequence[int]
    repeats: int = FEW_SHOT_DRAWS
    n_splits: int = 5

    def plan(self, features: FeatureSet, random_state: int = 0) -> Plan:
        """Make one trial for each size and repetition. See `Protocol.plan`.

        Warns
        -----
        ClipfeatWarning
            If a size is left out.
        """
        data = labelled_rows(features)
        seeds = trial_seeds(self.repeats, random_state)
        trials = _few_shot(data, self.sizes, self.n_splits, seeds)
        return Plan(f"few-shot, {len(seeds)} draws", data, trials)


@dataclass(frozen=True)
class TrainTest(Protocol):
    """Protocol that trains on all rows and tests on a separate feature set.

    Parameters
    ----------
    test : FeatureSet
        Labelled images with features of the same encoders. Images and groups that are also in the
        training set are left out of the training set, with a warning.
    repeats : int
        Number of repetitions, each with a different seed.
    """

    test: FeatureSet
    repeats: int = 1

    def plan(self, features: FeatureSet, random_state: int = 0) -> Plan:
        """Make one fold of the training rows and the separate test rows. See `Protocol.plan`.

        Raises
        ------
        FingerprintError
            If the training set and the test set have features of different encoders.
        DataError
            If both are arrays with different numbers of columns.
        """
        seeds = trial_seeds(self.repeats, random_state)
        return _one_split("separate test set", labelled_rows(features), self.test, seeds)


def as_protocol(protocol: int | Protocol) -> Protocol:
    """Return a protocol unchanged, or convert a number of folds to a `KFold`.

    Raises
    ------
    UsageError
        If `protocol` is neither a protocol nor an int.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, int) and not isinstance(protocol, bool):
        return KFold(protocol)
    raise UsageError(
        f"protocol must be a number of folds or a protocol object, got {protocol!r}. Pass 5, or "
        "a protocol such as clipfeat.LeaveOneOut('generator')"
    )


def labelled_rows(features: FeatureSet) -> FeatureSet:
    """Return the labelled rows in the order of their content hashes.

    The rows are not copied if all are labelled and sorted, and no class is empty.
    """
    used = np.unique(features.y)
    if len(used) > 1 and used[0] >= 0 and len(used) == len(features.classes):
        return features.in_content_order()
    return features.labelled().in_content_order()


def trial_seeds(repeats: int, random_state: int) -> range:
    """Return one random seed for each repetition."""
    if repeats < 1:
        raise UsageError(f"repeats must be 1 or more, got {repeats}. Use --repeats 1")
    return range(random_state, random_state + repeats)


def repeated(seeds: range) -> str:
    """Return the end of a plan's name, such as ``", 3 seeds"``; empty for one seed."""
    return f", {len(seeds)} seeds" if len(seeds) > 1 else ""


def _numbered(splits: Sequence[Split]) -> dict[str, Split]:
    return {str(i): split for i, split in enumerate(splits)}


def _one_split(name: str, train: FeatureSet, test: FeatureSet, seeds: range) -> Plan:
    both, n_train = stack(train, test.in_content_order())
    rows = np.arange(len(both))
    split = {"test": (rows[:n_train], rows[n_train:])}
    return Plan(f"{name}{repeated(seeds)}", both, [Trial(split, seed) for seed in seeds])


def _warn_of_one_class(features: FeatureSet, column: str, trial: Trial) -> None:
    """Warn about held-out values whose images are all of one class."""
    values = [v for v, (_, test) in trial.splits.items() if len(np.unique(features.y[test])) == 1]
    if values:
        warnings.warn(
            f"for {len(values)} values of column {column!r} ({', '.join(values[:5])}), all test "
            "images are of one class. These values are scored by recall only, and the means of "
            "the other metrics leave them out",
            ClipfeatWarning,
            stacklevel=4,
        )


def _matrix(features: FeatureSet, column: str, n_splits: int, seed: int) -> list[Trial]:
    """Make a trial for each value of a column.

    Some classes have at most one value in the column, for example photographs, which have no
    generator. Images of these classes are used for training and testing in every trial.
    """
    values = features.column(column)
    shared = shared_rows(features, column)
    held = np.unique(values[~shared]).tolist()
    if len(held) < 2:
        raise UsageError(
            f"--matrix needs a column with 2 or more values to train on, but {column!r} has "
            f"{len(held)}. A value does not count if all its images are of the negative class. "
            "It also does not count if it has all images of one of the classes. Pass another "
            "column"
        )
    strata = np.array([f"{label}, {column} {value}" if value and not alone else label
                       for label, value, alone in zip(features.labels.tolist(), values.tolist(),
                                                      shared, strict=True)])  # fmt: skip
    folds = k_fold(strata, features.split_groups, n_splits, seed)
    subsets = {value: (values == value) & ~shared | shared for value in held}
    for value, subset in subsets.items():
        if len(np.unique(features.y[subset])) < 2:
            raise LabelError(
                f"all images whose {column} is {value!r} are of one class, so no classifier can "
                "be trained on them. Leave these images out, or pass another column"
            )
    return [
        Trial(
            {str(i): (train[subsets[value][train]], test) for i, (train, test) in enumerate(folds)},
            seed, value, tested_on=subsets,
        )
        for value in held
    ]  # fmt: skip


def _few_shot(
    features: FeatureSet, sizes: Sequence[int], n_splits: int, seeds: range
) -> list[Trial]:
    """Make a trial for each size and seed.

    For each seed, the training images are sampled from the training rows of one fold. With the same
    seed, a smaller sample is a subset of every larger sample.
    """
    if not sizes or min(sizes) < 1:
        raise UsageError(
            f"the numbers of training images per class must be 1 or more, got {list(sizes)}. Use "
            "--few-shot 10,100"
        )
    folds = cross_validation(features, n_splits, seeds[0])
    draws: list[tuple[int, list[NDArray[np.int64]], NDArray[np.int64]]] = []
    for number, seed in enumerate(seeds):
        train, test = folds[number % len(folds)]
        firsts = train[np.sort(np.unique(features.files[train], return_index=True)[1])]
        shuffled = np.random.default_rng(seed).permutation(firsts)
        codes = range(len(features.classes))
        by_class = [shuffled[features.y[shuffled] == code] for code in codes]
        draws.append((seed, by_class, test))
    most = min(len(files) for _, by_class, _ in draws for files in by_class)
    kept = sorted({n for n in sizes if n <= most})
    if not kept:
        raise LabelError(
            f"the smallest class has {most} training images, fewer than each of the sizes "
            f"{list(sizes)}. Pass smaller sizes"
        )
    if len(kept) < len(set(sizes)):
        warnings.warn(
            f"sizes {', '.join(str(n) for n in sizes if n > most)} are left out, because the "
            f"smallest class has {most} training images",
            ClipfeatWarning,
            stacklevel=4,
        )
    return [
        Trial({str(number): (_first(features, by_class, n), test)}, seed, n_train=n)
        for n in kept
        for number, (seed, by_class, test) in enumerate(draws)
    ]


def _first(
    features: FeatureSet, by_class: Sequence[NDArray[np.int64]], n: int
) -> NDArray[np.int64]:
    """Return the rows of the first `n` files of each class."""
    chosen = np.concatenate([rows[:n] for rows in by_class])
    return np.flatnonzero(np.isin(features.files, features.files[chosen]))
