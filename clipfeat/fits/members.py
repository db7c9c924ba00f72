"""Members of a model, which are the classifiers of its vote.

Each member uses the columns of one encoder, or of all encoders.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.pipeline import Pipeline

from clipfeat.zoo.building import build, count_fits
from clipfeat.zoo.columns import ColumnRange
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import fit_with_groups
from clipfeat.zoo.spaces import Tuned
from clipfeat.zoo.tuning import tune


@dataclass(frozen=True)
class MemberSpec:
    """Specification of a member of a model.

    Parameters
    ----------
    name : str
        Name of the classifier in `clipfeat.zoo`.
    columns : slice
        Columns of the features that the member uses.
    options : FitOptions
        Options of all members.
    random_state : int
        Random seed.
    n_jobs : int
        Number of threads.
    seconds : float, optional
        Time limit in seconds for the parameter search and the fit after it.
    build : callable
        Function that builds the estimator, such as `clipfeat.zoo.building.build`.
    """

    name: str
    columns: slice
    options: FitOptions
    random_state: int = 0
    n_jobs: int = 1
    seconds: float | None = None
    build: Callable[..., Any] = build


def make_member(X: Any, y: Any, groups: Any, spec: MemberSpec) -> tuple[Any, Tuned | None]:
    """Make an unfitted member.

    If the options request a parameter search, the search runs first, on all rows.

    Parameters
    ----------
    X, y, groups
        Training rows, with the columns of all encoders.
    spec : MemberSpec
        Specification of the member.

    Returns
    -------
    estimator : estimator
        Unfitted estimator. It takes the columns of all encoders.
    tuned : Tuned or None
        Result of the parameter search. None if there was no search.
    """
    seeded = {"random_state": spec.random_state, "n_jobs": spec.n_jobs}
    params: Mapping[str, Any] | None = None
    tuned = None
    if spec.options.tune:
        n_fits = count_fits(spec.build(spec.name, spec.options, **seeded))
        tuned = tune(
            spec.name, X[:, spec.columns], y, groups, options=spec.options, seconds=spec.seconds,
            n_fits=n_fits, **seeded,
        )  # fmt: skip
        params = tuned.params
    estimator = spec.build(spec.name, spec.options, params=params, **seeded)
    return _on_columns(estimator, spec.columns), tuned


def fit_member(X: Any, y: Any, groups: Any, spec: MemberSpec) -> tuple[Any, Tuned | None]:
    """Make a member and fit it on a Ray worker.

    The rows are copied, because the rows that the workers share are read-only.
    """
    member, tuned = make_member(X, y, groups, spec)
    return fit_with_groups(member, X.copy(), y, groups), tuned


def _on_columns(estimator: Any, columns: slice) -> Any:
    """Precede an estimator with a step that selects the columns it uses."""
    if columns == slice(None):
        return estimator
    chosen = ColumnRange(columns.start, columns.stop)
    return Pipeline([("columns", chosen), ("classifier", estimator)])
