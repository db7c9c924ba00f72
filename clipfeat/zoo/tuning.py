"""What is tuned of each classifier, and the search for it inside the rows that it is given.

A classifier with no space is not tuned. Spaces name parameters as the classifier itself does,
wherever in a pipeline it stands.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.zoo import make_classifier
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import inner_folds

N_SPLITS = 3
N_CANDIDATES = 24


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included.

    Parameters
    ----------
    low, high : float
        The ends.
    whole : bool
        Whether only whole numbers are.
    log : bool
        Whether they are spread by their logarithm.
    """

    low: float
    high: float
    whole: bool = False
    log: bool = True


@dataclass(frozen=True)
class WarmPath:
    """A penalty of a linear model, followed from strong to weak, each fit begun at the last's end.

    Parameters
    ----------
    parameter : str
        Larger is weaker: ``"C"``.
    low, high : float
        Followed by decades; then more finely about the best.
    """

    parameter: str
    low: float
    high: float


SPACES: Mapping[str, WarmPath | Mapping[str, Range]] = {
    "logreg": WarmPath("C", 1e-6, 1e6),  # the range of CLIP's linear probe, arXiv 2103.00020 A.3
    "knn": {"n_neighbors": Range(3, 100, whole=True)},
    "rf": {"max_features": Range(0.01, 0.3), "min_samples_leaf": Range(1, 10, whole=True)},
    "lgbm": {
        "learning_rate": Range(0.02, 0.3),
        "num_leaves": Range(7, 127, whole=True),
        "min_child_samples": Range(5, 100, whole=True),
        "colsample_bytree": Range(0.05, 1),
    },
    "xgb": {
        "learning_rate": Range(0.02, 0.3),
        "max_depth": Range(2, 8, whole=True, log=False),
        "min_child_weight": Range(0.5, 20),
        "colsample_bytree": Range(0.05, 1),
    },
    "svm": {"C": Range(0.1, 100)},
    "linsvm": {"C": Range(1e-4, 100)},
    "ridge": {"alpha": Range(1e-2, 1e6)},
    "lda": {"shrinkage": Range(1e-3, 1)},
    "et": {"max_features": Range(0.01, 0.3), "min_samples_leaf": Range(1, 10, whole=True)},
    "histgb": {
        "learning_rate": Range(0.02, 0.3),
        "max_leaf_nodes": Range(7, 127, whole=True),
        "min_samples_leaf": Range(5, 100, whole=True),
    },
    "mlp": {
        "hidden": Range(64, 1024, whole=True),
        "dropout": Range(0, 0.7, log=False),
        "learning_rate": Range(1e-4, 1e-2),
        "weight_decay": Range(1e-4, 1),
    },
}


@dataclass(frozen=True)
class Tuned:
    """What a search chose.

    Parameters
    ----------
    params : mapping of str to float
        By the names of the space; empty where the classifier's own are best, or nothing was tried.
    tried : int
        Candidates, the classifier's own parameters among them.
    out_of_time : bool
        Whether the time limit ended the search; `params` are then the best so far.
    """

    params: Mapping[str, float]
    tried: int = 0
    out_of_time: bool = False


def tune(
    name: str,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.generic] | None,
    *,
    options: FitOptions = FitOptions(),
    random_state: int = 0,
    n_jobs: int = -1,
    seconds: float | None = None,
    n_fits: float = 1.0,
) -> Tuned:
    """Search a classifier's space for the least log loss of folds that keep groups whole.

    Parameters
    ----------
    name : str
        One of `clipfeat.zoo.CLASSIFIERS`.
    X, y, groups
        The rows to search on, and no others; labels are 0 to n_classes - 1.
    options, random_state, n_jobs
        As in `make_classifier`; the seed is the candidates' and the folds' as well.
    seconds : float, optional
        What the search and the fit after it may take. None: as long as they do.
    n_fits : float
        How many fits on all of `X` come after the search and are to be kept time for.

    Returns
    -------
    Tuned
        The same for the same seed, unless the time ran out.

    Raises
    ------
    LabelError
        If a class has only one row, or one group.
    """
    from clipfeat.zoo.halving import search_by_halving
    from clipfeat.zoo.warm_path import search_warm_path

    space = SPACES.get(name)
    if space is None:
        return Tuned({})
    until = None if seconds is None else time.monotonic() + seconds
    classifier = make_classifier(name, options, random_state=random_state, n_jobs=n_jobs)
    folds = inner_folds(y, groups, N_SPLITS, random_state)
    if isinstance(space, WarmPath):
        return search_warm_path(classifier, space, X, y, folds, until, n_fits)
    return search_by_halving(
        classifier, space, (X, y, groups), folds, until, n_fits, N_CANDIDATES, random_state
    )


def time_share(begun: float, time_limit: float | None, turns: int) -> float | None:
    """Seconds that one of so many turns may take, of what is left since `begun` (monotonic)."""
    left = None if time_limit is None else begun + time_limit - time.monotonic()
    return None if left is None else max(left, 0.0) / turns


def full_names(classifier: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by the names ``set_params`` takes, wherever in a pipeline they are.

    One that the classifier does not have is left out.

    Examples
    --------
    >>> full_names(make_classifier("knn"), {"n_neighbors": 3})
    {'cappedneighborsclassifier__n_neighbors': 3}
    """
    known = sorted(classifier.get_params(), key=len)
    deepest = {short: [k for k in known if f"__{k}".endswith(f"__{short}")] for short in params}
    return {deepest[short][-1]: value for short, value in params.items() if deepest[short]}
