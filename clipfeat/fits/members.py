"""The members of a model: each a classifier that sees its own encoder's columns of all rows."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from clipfeat.zoo.folds import fit_with_groups
from clipfeat.zoo.recipe import count_fits
from clipfeat.zoo.tuning import Tuned, tune


def make_member(
    X: Any,
    y: Any,
    groups: Any,
    name: str,
    columns: slice,
    make: partial[Any],
    tuning: bool,
    seconds: float | None = None,
) -> tuple[Any, Tuned | None]:
    """Make an unfitted member.

    Parameters
    ----------
    X, y, groups
        All rows, on which parameters are searched for.
    name : str
        Of the zoo.
    columns : slice
        Those of `X` that it sees.
    make : partial
        Of `clipfeat.zoo.recipe.build`, with all but the name.
    tuning : bool
        Whether parameters are searched for.
    seconds : float, optional
        What the search and the fit after it may take.

    Returns
    -------
    estimator, Tuned or None
        What the search found, where there was one.
    """
    params: Mapping[str, Any] | None = None
    found = None
    if tuning:
        found = tune(
            name, X[:, columns], y, groups, random_state=make.keywords["random_state"],
            n_jobs=make.keywords["n_jobs"], seconds=seconds, n_fits=count_fits(make(name)),
        )  # fmt: skip
        params = found.params
    return _on_columns(make(name, params=params), columns), found


def fit_member(X: Any, y: Any, groups: Any, *asked: Any) -> tuple[Any, Tuned | None]:
    """Make a member and fit it, on a worker whose rows are not its own to write in."""
    member, found = make_member(X, y, groups, *asked)
    return fit_with_groups(member, X.copy(), y, groups), found


def _on_columns(estimator: Any, columns: slice) -> Any:
    """An estimator that sees only its own encoder's columns."""
    if columns == slice(None):
        return estimator
    chosen = ColumnTransformer([("encoder", "passthrough", columns)])
    return Pipeline([("columns", chosen), ("classifier", estimator)])
