"""Classifier that takes row numbers and reads the features of these rows in blocks."""

from pkgutil import resolve_name
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.metaestimators import available_if

from clipfeat.store.streaming import StreamedFeatures


class StreamedClassifier(ClassifierMixin, BaseEstimator):
    """Wrapper of a classifier that takes row numbers instead of features.

    The wrapper is used inside estimators that select rows but do not read them, such as
    calibration and bagging. Its ``X`` has one column, with the row numbers.

    Parameters
    ----------
    estimator : estimator
        Unfitted classifier of the zoo.
    features : StreamedFeatures
        Features that the row numbers refer to.
    fit_function : str
        Function that fits the classifier out of core, as ``"package.module:function"``.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    estimator_ : estimator
        Fitted clone, which takes features.
    """

    def __init__(self, estimator: Any, features: StreamedFeatures, fit_function: str) -> None:
        self.estimator = estimator
        self.features = features
        self.fit_function = fit_function

    def __sklearn_clone__(self) -> "StreamedClassifier":
        """Clone the estimator. The clone shares the features, which cannot be copied."""
        return StreamedClassifier(clone(self.estimator), self.features, self.fit_function)

    def fit(self, X: Any, y: Any, **fit_params: Any) -> Self:
        """Fit on the features of the rows whose numbers are in `X`."""
        numbers, order = _ascending(X)
        rows = self.features.rows(numbers)
        ordered = {name: np.asarray(values)[order] for name, values in fit_params.items()}
        fit = resolve_name(self.fit_function)
        self.estimator_ = fit(clone(self.estimator), rows, np.asarray(y)[order], **ordered)
        self.classes_ = self.estimator_.classes_
        self.n_features_in_ = 1
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Predict probabilities of the rows whose numbers are in `X`.

        The columns follow ``classes_``.
        """
        return self._by_block("predict_proba", X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels of the rows whose numbers are in `X`."""
        return self._by_block("predict", X)

    @available_if(lambda self: hasattr(self.estimator, "decision_function"))
    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Compute decision scores of the rows whose numbers are in `X`."""
        return self._by_block("decision_function", X)

    def _by_block(self, method: str, X: Any) -> NDArray[Any]:
        predict = getattr(self.estimator_, method)
        numbers, order = _ascending(X)
        in_order = np.concatenate([predict(rows) for _, rows in self.features.rows(numbers[order])])
        outputs = np.empty_like(in_order)
        outputs[order] = in_order
        return outputs


def _ascending(X: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row numbers, and the indices that sort them."""
    numbers = np.asarray(X)[:, 0].astype(np.int64)
    return numbers, np.argsort(numbers, kind="stable")


def unwrap(fitted: Any, n_features: int) -> Any:
    """Replace every `StreamedClassifier` in an estimator by its fitted classifier.

    Parameters
    ----------
    fitted : estimator
        Fitted estimator. It is modified in place.
    n_features : int
        Number of features that the result takes.

    Returns
    -------
    estimator
        A fitted estimator that takes features.
    """
    return _unwrap(fitted, n_features)[0]


def _unwrap(value: Any, n_features: int) -> tuple[Any, bool]:
    """Return the replacement of a value, and whether a `StreamedClassifier` was in it."""
    if isinstance(value, StreamedClassifier):
        return getattr(value, "estimator_", value.estimator), True
    if isinstance(value, list | tuple):
        pairs = [_unwrap(item, n_features) for item in value]
        return type(value)(item for item, _ in pairs), any(changed for _, changed in pairs)
    if isinstance(value, dict):
        pairs = [_unwrap(item, n_features) for item in value.values()]
        named = dict(zip(value, (item for item, _ in pairs), strict=True))
        return named, any(changed for _, changed in pairs)
    # Only estimators, and scikit-learn's pairs of a classifier and its calibrator, hold wrappers.
    if type(value).__module__.partition(".")[0] not in ("clipfeat", "sklearn"):
        return value, False
    any_changed = False
    for name, attribute in vars(value).items():
        replacement, changed = _unwrap(attribute, n_features)
        if changed:
            setattr(value, name, replacement)
            any_changed = True
    if any_changed and hasattr(value, "n_features_in_"):
        value.n_features_in_ = n_features
    return value, any_changed
