"""A classifier whose ``X`` are row numbers of features that are read in blocks."""

from pkgutil import resolve_name
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.metaestimators import available_if

from clipfeat.store.streaming import StreamedFeatures


class StreamedClassifier(ClassifierMixin, BaseEstimator):
    """Wrapper of a classifier, for use inside estimators that only select rows.

    Parameters
    ----------
    estimator : estimator
        Unfitted classifier of the zoo.
    features : StreamedFeatures
        Features of the row numbers.
    fit_function : str
        ``"package.module:function"`` that fits the classifier out of core.

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
        """Clone the estimator and share the features, which cannot be copied."""
        return StreamedClassifier(clone(self.estimator), self.features, self.fit_function)

    def fit(self, X: Any, y: Any, **fit_params: Any) -> Self:
        """Fit on the rows whose numbers are the only column of `X`."""
        numbers, order = _ascending(X)
        rows = self.features.rows(numbers[order])
        ordered = {name: np.asarray(values)[order] for name, values in fit_params.items()}
        fit = resolve_name(self.fit_function)
        self.estimator_ = fit(clone(self.estimator), rows, np.asarray(y)[order], **ordered)
        self.classes_ = self.estimator_.classes_
        self.n_features_in_ = 1
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Predict probabilities of rows by number; columns follow ``classes_``."""
        return self._by_block("predict_proba", X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the labels of rows by number."""
        return self._by_block("predict", X)

    @available_if(lambda self: hasattr(self.estimator, "decision_function"))
    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Compute the scores of rows by number."""
        return self._by_block("decision_function", X)

    def _by_block(self, method: str, X: Any) -> NDArray[Any]:
        predict = getattr(self.estimator_, method)
        numbers, order = _ascending(X)
        in_order = np.concatenate([predict(rows) for _, rows in self.features.rows(numbers[order])])
        outputs = np.empty_like(in_order)
        outputs[order] = in_order
        return outputs


def _ascending(X: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row numbers and the order in which they are read."""
    numbers = np.asarray(X)[:, 0].astype(np.int64)
    return numbers, np.argsort(numbers, kind="stable")


def unwrap(fitted: Any, n_features: int) -> Any:
    """Replace every `StreamedClassifier` in an estimator by its fitted classifier.

    Parameters
    ----------
    fitted : estimator
        Fitted estimator; it is changed.
    n_features : int
        Number of features that the result takes.
    """
    return _unwrap(fitted, n_features)[0]


def _unwrap(value: Any, n_features: int) -> tuple[Any, bool]:
    """Return the replacement of a value, and whether it contained a wrapper."""
    if isinstance(value, StreamedClassifier):
        return getattr(value, "estimator_", value.estimator), True
    if isinstance(value, list | tuple):
        pairs = [_unwrap(item, n_features) for item in value]
        return type(value)(item for item, _ in pairs), any(changed for _, changed in pairs)
    if isinstance(value, dict):
        pairs = [_unwrap(item, n_features) for item in value.values()]
        named = dict(zip(value, (item for item, _ in pairs), strict=True))
        return named, any(changed for _, changed in pairs)
    # Estimators, and scikit-learn's pairs of classifier and calibrator.
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
