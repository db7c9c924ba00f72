"""Stacking: a logistic regression on the out-of-fold probabilities of several classifiers.

The classifiers that an ensemble combines are its members.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.ensemble.vote import align, check_member_names
from clipfeat.zoo.folds import check_classes, fit_with_groups, inner_folds

CLIP = 1e-3
"""Probabilities are clipped to [CLIP, 1 - CLIP], because the log odds of 0 and 1 are infinite.
Nearest neighbours often predict 0."""


def log_odds(probabilities: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Convert the probabilities of the members to log odds, the features of a linear model.

    Parameters
    ----------
    probabilities : sequence of ndarray of shape (n_samples, n_classes)
        Probabilities of each member. All members have the same order of columns.

    Returns
    -------
    ndarray of shape (n_samples, n_members) for two classes, else (n_samples, n_members * n_classes)
        Log odds of each member. For two classes, they are the log odds of the second class. For
        more classes, each class has log odds against all other classes.
    """
    bounded = [np.clip(p, CLIP, 1 - CLIP) for p in probabilities]
    columns = [p[:, 1:] if p.shape[1] == 2 else p for p in bounded]
    return np.hstack([np.log(p) - np.log1p(-p) for p in columns])


def fit_blend(
    probabilities: Sequence[NDArray[np.float64]], y: NDArray[np.generic]
) -> LogisticRegression:
    """Fit the final logistic regression on the log odds of out-of-fold probabilities."""
    return LogisticRegression(C=1.0, max_iter=1000).fit(log_odds(probabilities), y)


class StackedClassifier(ClassifierMixin, _BaseComposition):
    """Stacked classifier with a logistic regression as final estimator (Wolpert 1992).

    Parameters
    ----------
    estimators : list of (str, estimator)
        Names and members. A member has ``predict_proba``, and is cloned before the fit.
    n_splits : int
        Number of folds for the out-of-fold probabilities.
    random_state : int, optional
        Random seed of the folds.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    estimators_ : dict of str to estimator
        Members fitted on all rows.
    blend_ : LogisticRegression
        Logistic regression on the out-of-fold log odds. Its coefficients are the weights of the
        members.

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
        """Return the parameters. A parameter of a member is named ``<member>__<parameter>``."""
        params: dict[str, Any] = self._get_params("estimators", deep=deep)
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name.

        ``<member>__<parameter>`` sets a parameter of a member. ``<member>`` replaces the whole
        member with another estimator.
        """
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
        """Fit the members on all rows, and the regression on out-of-fold probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels, integers or strings.
        groups : array-like of shape (n_samples,), optional
            Groups that must stay in one fold.
        out_of_fold : sequence of ndarray of shape (n_samples, n_classes), optional
            Out-of-fold probabilities of each member, if they are known. A row without out-of-fold
            probabilities is NaN and is not used. None computes the probabilities with `n_splits`
            fits of each member.
        fitted : mapping of str to estimator, optional
            Members that are already fitted on all rows, by name. They are not fitted again.

        Raises
        ------
        UsageError
            If there are no members, or two members have the same name.
        """
        check_member_names([name for name, _ in self.estimators])
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        check_classes(self.classes_)
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
            train_groups = None if groups is None else np.asarray(groups)[train]
            for p, (_, estimator) in zip(out, self.estimators, strict=True):
                member = fit_with_groups(clone(estimator), X[train], y[train], train_groups)
                p[test] = align(member.predict_proba(X[test]), member.classes_, self.classes_)
        return out

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict probabilities. Columns follow ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        members = [
            align(member.predict_proba(X), member.classes_, self.classes_)
            for member in self.estimators_.values()
        ]
        probabilities: NDArray[np.float64] = self.blend_.predict_proba(log_odds(members))
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
