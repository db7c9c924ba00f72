"""Stacking: a logistic regression learns, from out-of-fold probabilities, whom to believe."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.ensemble.vote import align
from clipfeat.errors import UsageError
from clipfeat.zoo.folds import fit_with_groups, inner_folds

BOLDEST = 1e-3
"""Probabilities nearer than this to 0 or 1 count as this near: neighbours often say 0."""


def log_odds(probabilities: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Members' probabilities as columns for a linear model.

    Parameters
    ----------
    probabilities : sequence of ndarray of shape (n_samples, n_classes)
        One of each member, columns in the same order.

    Returns
    -------
    ndarray of shape (n_samples, n_members) for two classes, else (n_samples, n_members * n_classes)
        Log odds of the second class; else log odds of each class against the others.
    """
    bounded = [np.clip(p, BOLDEST, 1 - BOLDEST) for p in probabilities]
    columns = [p[:, 1:] if p.shape[1] == 2 else p for p in bounded]
    return np.hstack([np.log(p) - np.log1p(-p) for p in columns])


def fit_blend(
    probabilities: Sequence[NDArray[np.float64]], y: NDArray[np.generic]
) -> LogisticRegression:
    """Fit the final logistic regression on out-of-fold probabilities; see `log_odds`."""
    return LogisticRegression(C=1.0, max_iter=1000).fit(log_odds(probabilities), y)


class StackedClassifier(ClassifierMixin, _BaseComposition):
    """Classifiers whose probabilities are the features of a logistic regression (Wolpert 1992).

    Parameters
    ----------
    estimators : list of (str, estimator)
        Named members; each has ``predict_proba``. They are cloned before they are fitted.
    n_splits : int
        Folds of the out-of-fold probabilities that the regression learns from.
    random_state : int, optional
        Seed of the folds.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    estimators_ : dict of str to estimator
        The members, fitted on all rows.
    blend_ : LogisticRegression
        Fitted on the members' out-of-fold log odds; its coefficients say whom it believes.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> stack = StackedClassifier([("lr", LogisticRegression()), ("nb", GaussianNB())], n_splits=2)
    >>> stack = stack.fit([[0.0], [1.0], [2.0], [3.0]] * 3, ["a", "a", "b", "b"] * 3)
    >>> stack.predict([[0.2], [2.9]]).tolist()
    ['a', 'b']
    """

    def __init__(
        self,
        estimators: Sequence[tuple[str, Any]],
        *,
        n_splits: int = 5,
        random_state: int | None = None,
    ) -> None:
        self.estimators = estimators
        self.n_splits = n_splits
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters, the members' among them as ``<member>__<parameter>``."""
        params: dict[str, Any] = self._get_params("estimators", deep=deep)
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, a member's by ``<member>__<parameter>``, a whole member by its name."""
        self._set_params("estimators", **params)
        return self

    def fit(
        self,
        X: Any,
        y: Any,
        groups: NDArray[np.generic] | None = None,
        out_of_fold: Sequence[NDArray[np.float64]] | None = None,
        fitted: Mapping[str, Any] | None = None,
    ) -> Self:
        """Fit every member on all rows, and the regression on out-of-fold probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels, numbers or strings.
        groups : array-like of shape (n_samples,), optional
            Never parted by a fold.
        out_of_fold : sequence of ndarray of shape (n_samples, n_classes), optional
            The members' out-of-fold probabilities where they are known; NaN in rows without any.
            None makes them, by `n_splits` fits of each member.
        fitted : mapping of str to estimator, optional
            Members that are fitted already, on these very rows, by name.
        """
        names = [name for name, _ in self.estimators]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"members must be one or more, of different names, got {names}")
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"two classes or more are needed, got 1 class: {self.classes_}")
        if out_of_fold is None:
            out_of_fold = self._out_of_fold(X, y, groups)
        known = ~np.isnan(np.hstack(out_of_fold)).any(axis=1)
        self.blend_ = fit_blend([p[known] for p in out_of_fold], y[known])
        self.estimators_ = {
            name: fitted[name]
            if fitted and name in fitted
            else fit_with_groups(clone(estimator), X, y, groups)
            for name, estimator in self.estimators
        }
        return self

    def _out_of_fold(
        self, X: Any, y: Any, groups: NDArray[np.generic] | None
    ) -> list[NDArray[np.float64]]:
        out = [np.empty((len(y), len(self.classes_))) for _ in self.estimators]
        for train, test in inner_folds(y, groups, self.n_splits, self.random_state):
            own = None if groups is None else np.asarray(groups)[train]
            for p, (_, estimator) in zip(out, self.estimators, strict=True):
                member = fit_with_groups(clone(estimator), X[train], y[train], own)
                p[test] = align(member.predict_proba(X[test]), member.classes_, self.classes_)
        return out

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The regression's probabilities, columns by ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        members = [
            align(member.predict_proba(X), member.classes_, self.classes_)
            for member in self.estimators_.values()
        ]
        probabilities: NDArray[np.float64] = self.blend_.predict_proba(log_odds(members))
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Name the likeliest class."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
