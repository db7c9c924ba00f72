"""Plan of a run: the training rows and the test rows of every fold of every trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.splits import RowMask
from clipfeat.features import FeatureSet
from clipfeat.zoo.folds import Split


@dataclass(frozen=True, eq=False)
class Trial:
    """List of splits, such as the folds of one cross-validation.

    Every row is tested at most once in a trial.

    Parameters
    ----------
    splits : mapping of str to (train, test)
        For each fold, by name, the row numbers of the training rows and of the test rows. No row is
        tested in two folds.
    seed : int
        Random seed of the folds, of the few-shot samples and of the classifiers.
    trained_on : str
        For a `Matrix`, the value of the column in the training rows. Else empty.
    n_train : int, optional
        For `FewShot`, the number of training images per class. Else None.
    tested_on : mapping of str to ndarray of shape (n_samples,), bool
        Masks of subsets of the rows, by name. The test rows of a fold in each subset are scored
        separately. If empty, all test rows of a fold are scored together.
    validation : ndarray of int, optional
        Row numbers of a validation set, on which thresholds, learned votes and the best entry are
        chosen. These rows are in no split. If None, thresholds and votes are chosen on out-of-fold
        predictions of the training rows.
    """

    splits: Mapping[str, Split]
    seed: int = 0
    trained_on: str = ""
    n_train: int | None = None
    tested_on: Mapping[str, RowMask] = field(default_factory=dict)
    validation: NDArray[np.int64] | None = None

    def choice_rows(self, train: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows on which the thresholds and votes of a fold are chosen."""
        return train if self.validation is None else self.validation

    @property
    def subsets(self) -> Mapping[str, RowMask | None]:
        """Subsets in `tested_on`. If it is empty, the only subset is None, which means all rows."""
        return self.tested_on or {"": None}

    @property
    def name(self) -> str:
        """Name of the trial in messages and headings, such as ``"trained on SDXL, seed 0"``."""
        on = [f"trained on {self.trained_on}"] if self.trained_on else []
        few = [] if self.n_train is None else [f"{self.n_train} images per class"]
        return ", ".join([*on, *few, f"seed {self.seed}"])


@dataclass(frozen=True, eq=False)
class Plan:
    """Trials of a protocol on a feature set.

    A cross-validation with five folds is one trial. With three seeds, it is three trials. A
    `Matrix` has one trial for each training value and seed.

    Parameters
    ----------
    name : str
        Description of the protocol, such as ``"5-fold"``.
    features : FeatureSet
        The rows that the trials split. All rows are labelled.
    trials : sequence of Trial
        One or more trials.
    column : str
        Name of the protocol's column, whose values are held out or trained on in turn. Empty if the
        protocol has no column.
    caveats : sequence of str
        Sentences that every report of the run states.
    balance : str
        Value of `FitOptions.balance` that ``"auto"`` selects in this plan.
    """

    name: str
    features: FeatureSet
    trials: Sequence[Trial]
    column: str = ""
    caveats: Sequence[str] = ()
    balance: str = "none"
