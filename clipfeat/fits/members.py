"""Members of a model: classifiers, each on the columns of its own encoder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from clipfeat.zoo.building import build, count_fits
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
        Name of the classifier in the zoo.
    columns : slice
        Columns of the features that the member sees.
    options : FitOptions
        Options of all members.
    random_state : int
        Random seed.
    n_jobs : int
        Number of threads.
    seconds : float, optional
        Time limit of the parameter search and the fit after it.
    build : callable
        Builds the estimator, like `clipfeat.zoo.building.build`.
    """

    name: str
    columns: slice
    options: FitOptions
    random_state: int = 0
    n_jobs: int = 1
    seconds: float | None = None
    build: Callable[..., Any] = build


def make_member(X: Any, y: Any, groups: Any, spec: MemberSpec) -> tuple[Any, Tuned | None]:
    """Make an unfitted member, after a search of its parameters on all rows if requested.

    Returns
    -------
    estimator : estimator
        Unfitted; takes the columns of all encoders.
    tuned : Tuned or None
        Result of the search; None without one.
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
    """Make a member and fit it on a worker, whose shared rows are read-only."""
    member, tuned = make_member(X, y, groups, spec)
    return fit_with_groups(member, X.copy(), y, groups), tuned


def _on_columns(estimator: Any, columns: slice) -> Any:
    """Restrict an estimator to the columns of its encoder."""
    if columns == slice(None):
        return estimator
    chosen = ColumnTransformer([("encoder", "passthrough", columns)])
    return Pipeline([("columns", chosen), ("classifier", estimator)])
