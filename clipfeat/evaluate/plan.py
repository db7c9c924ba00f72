"""The plan of a run: which rows are trained on and tested, in how many trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clipfeat.evaluate.splits import RowMask
from clipfeat.features import FeatureSet
from clipfeat.zoo.folds import Split


@dataclass(frozen=True, eq=False)
class Trial:
    """One way of splitting the rows, in which every row is tested at most once.

    Parameters
    ----------
    splits : mapping of str to (train, test)
        Row numbers by the name of the fold. No row is in two tests.
    seed : int
        Random seed of the folds, the draw and the classifiers.
    trained_on : str
        In a matrix, the value of a column that all training rows have.
    n_train : int, optional
        In a few-shot curve, the number of training images per class.
    tested_on : mapping of str to ndarray of shape (n_samples,), bool
        Subsets of the rows, by name. Each test is scored on every subset separately. If empty,
        each test is scored as a whole.
    """

    splits: Mapping[str, Split]
    seed: int = 0
    trained_on: str = ""
    n_train: int | None = None
    tested_on: Mapping[str, RowMask] = field(default_factory=dict)

    @property
    def subsets(self) -> Mapping[str, RowMask | None]:
        """The subsets of `tested_on`, or a single unnamed subset of all rows."""
        return self.tested_on or {"": None}

    @property
    def name(self) -> str:
        """The trial as a heading: ``"trained on SDXL, seed 0"``."""
        on = [f"trained on {self.trained_on}"] if self.trained_on else []
        few = [] if self.n_train is None else [f"{self.n_train} images per class"]
        return ", ".join([*on, *few, f"seed {self.seed}"])


@dataclass(frozen=True, eq=False)
class Plan:
    """The trials that a protocol makes of a feature set.

    Five folds are one trial, and five folds with three seeds are three trials. A matrix has one
    trial for each value that is trained on.

    Parameters
    ----------
    name : str
        The protocol in words: ``"5-fold"``.
    features : FeatureSet
        The rows that the trials split, all labelled.
    trials : sequence of Trial
        At least one.
    column : str
        The column whose values distinguish the tests. Empty if there is none.
    """

    name: str
    features: FeatureSet
    trials: Sequence[Trial]
    column: str = ""
