"""Soft vote: the average of the probabilities of several classifiers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, clone
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.errors import DataError, UsageError
from clipfeat.zoo.folds import fit_with_groups


def soft_vote(
    probabilities: Sequence[ArrayLike], weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Average the probabilities of several classifiers, the members of a vote.

    Parameters
    ----------
    probabilities : sequence of array-like of shape (n_samples, n_classes)
        Probabilities of each member. All members have the same order of columns. Decision scores
        are not probabilities, even after a sigmoid for each class.
    weights : sequence of float, optional
        Weight of each member. No weight may be negative, and at least one must be positive. None
        weights all members equally.

    Returns
    -------
    ndarray of shape (n_samples, n_classes), float64
        Average probabilities. Each row sums to 1.

    Raises
    ------
    UsageError
        If there are no members. If a weight is negative, if all weights are 0, or if the number of
        weights differs from the number of members.
    DataError
        If the members have different shapes. If a value is outside [0, 1]. If a row does not sum to
        1.

    Examples
    --------
    >>> soft_vote([[[0.9, 0.1]], [[0.5, 0.5]]]).round(3).tolist()
    [[0.7, 0.3]]
    >>> soft_vote([[[0.9, 0.1]], [[0.5, 0.5]]], weights=[0, 2]).tolist()
    [[0.5, 0.5]]
    """
    return _average(probabilities, _shares(weights, len(probabilities)))


def _average(
    probabilities: Iterable[ArrayLike], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average the probabilities of the members, with those of one member in memory at a time."""
    total: NDArray[np.float64] | None = None
    for number, (share, member) in enumerate(zip(shares, probabilities, strict=True)):
        p = np.asarray(member, dtype=np.float64)
        if p.ndim != 2 or (total is not None and p.shape != total.shape):
            expected = "(n_samples, n_classes)" if total is None else total.shape
            raise DataError(
                f"the probabilities of member {number} have shape {p.shape}, expected {expected}. "
                "Pass one row per sample and one column per class for every member"
            )
        if not ((p >= -1e-6) & (p <= 1 + 1e-6)).all() or not np.allclose(
            p.sum(axis=1), 1, atol=1e-4
        ):
            raise DataError(
                f"the values of member {number} are not probabilities. Pass values in [0, 1], "
                "with rows that sum to 1"
            )
        if total is None:
            total = np.zeros_like(p)
        total += share * p
    if total is None:
        raise UsageError(
            "a vote needs at least one member, got none. Pass the probabilities of a classifier"
        )
    result: NDArray[np.float64] = total / total.sum(axis=1, keepdims=True)
    return result


def _shares(weights: Sequence[float] | None, n: int) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.ones(n)
    if weights is not None:
        shares = np.asarray(weights, dtype=np.float64)
    if shares.shape != (n,) or not np.isfinite(shares).all() or (shares < 0).any():
        raise UsageError(
            f"a vote of {n} members needs {n} weights that are not negative, got {weights}. Pass "
            "one weight for each member"
        )
    if n and shares.sum() == 0:
        raise UsageError(f"all weights of the vote are 0, got {weights}. Pass a positive weight")
    total: NDArray[np.float64] = shares / max(float(shares.sum()), 1e-300)
    return total


def check_member_names(names: Sequence[str]) -> None:
    """Check that an ensemble has members, each with its own name.

    Raises
    ------
    UsageError
        If there are no members, or two members have the same name.
    """
    if not names:
        raise UsageError(
            "an ensemble needs at least one member, got no estimators. Pass (name, estimator) pairs"
        )
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"{names.count(name)} members of the ensemble are named {name!r}. Give each member "
                "its own name"
            )


def align(
    probabilities: NDArray[np.floating], classes: ArrayLike, all_classes: ArrayLike
) -> NDArray[np.float64]:
    """Arrange the probabilities of a classifier in the columns of `all_classes`.

    A class that the classifier does not know gets probability 0.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, len(classes))
        Probabilities of the classifier.
    classes : array-like
        Sorted classes of the classifier. They are a subset of `all_classes`.
    all_classes : array-like
        Sorted classes of the result.

    Returns
    -------
    ndarray of shape (n_samples, len(all_classes)), float64
        Probabilities of all classes.
    """
    columns = np.searchsorted(np.asarray(all_classes), np.asarray(classes))
    out = np.zeros((len(probabilities), len(np.asarray(all_classes))))
    out[:, columns] = probabilities
    return out


class SoftVotingClassifier(ClassifierMixin, _BaseComposition):
    """Soft vote of classifiers: the average of their probabilities.

    Parameters
    ----------
    estimators : list of (str, estimator)
        Names and members. A member has ``predict_proba``, and is cloned before the fit.
    weights : sequence of float, optional
        Weight of each member. Members with weight 0 are not fitted. None weights all members
        equally.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    estimators_ : dict of str to estimator
        Fitted members by name.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.naive_bayes import GaussianNB
    >>> vote = SoftVotingClassifier([("lr", LogisticRegression()), ("nb", GaussianNB())])
    >>> vote = vote.fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> vote.predict([[0.2], [2.9]]).tolist()
    ['a', 'b']
    """

    def __init__(
        self, estimators: Sequence[tuple[str, Any]], *, weights: Sequence[float] | None = None
    ) -> None:
        self.estimators = estimators
        self.weights = weights

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
        fitted: Mapping[str, Any] | None = None,
    ) -> Self:
        """Fit every member on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels, integers or strings.
        groups : array-like of shape (n_samples,), optional
            Groups. They are passed to the members whose ``fit`` takes them.
        fitted : mapping of str to estimator, optional
            Members that are already fitted on these rows, by name. They are not fitted again.

        Raises
        ------
        UsageError
            If there are no members, if two members have the same name, or if the weights are
            invalid.
        """
        names = [name for name, _ in self.estimators]
        check_member_names(names)
        _shares(self.weights, len(names))
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        self.estimators_: Mapping[str, Any] = {
            name: fitted[name]
            if fitted and name in fitted
            else fit_with_groups(clone(estimator), X, y, groups)
            for (name, estimator), weight in zip(self.estimators, self._weights(), strict=True)
            if weight > 0
        }
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Average the probabilities of the members.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Average probabilities. Columns follow ``classes_``, and rows sum to 1.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        members = (
            align(member.predict_proba(X), member.classes_, self.classes_)
            for member in self.estimators_.values()
        )
        weights = [weight for weight in self._weights() if weight > 0]
        return _average(members, _shares(weights, len(self.estimators_)))

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the class with the largest average probability."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels

    def _weights(self) -> list[float]:
        return [1.0] * len(self.estimators) if self.weights is None else list(self.weights)
