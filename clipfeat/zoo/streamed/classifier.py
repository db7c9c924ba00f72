"""A classifier whose X are row numbers, of features that are read in blocks."""

from importlib import import_module
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.metaestimators import available_if

from clipfeat.store.streaming import StreamedFeatures


class StreamedClassifier(ClassifierMixin, BaseEstimator):
    """Stands for a classifier inside of estimators that only take rows apart.

    Parameters
    ----------
    estimator : estimator
        A classifier as the zoo makes it.
    features : StreamedFeatures
        What row numbers are looked up in.
    how : str
        One of the values of `clipfeat.zoo.streamed.STREAMED`.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    estimator_ : estimator
        The fitted clone, which takes features.
    """

    def __init__(self, estimator: Any, features: StreamedFeatures, how: str) -> None:
        self.estimator = estimator
        self.features = features
        self.how = how

    def __sklearn_clone__(self) -> "StreamedClassifier":
        """Another one of the same features, which are no parameter to be copied."""
        return StreamedClassifier(clone(self.estimator), self.features, self.how)

    def fit(self, X: Any, y: Any, **further: Any) -> Self:
        """Fit on the rows whose numbers are the one column of `X`."""
        numbers, order = _ascending(X)
        module, _, function = self.how.partition(":")
        fit = getattr(import_module(f"{__package__}.{module}"), function)
        rows = self.features.rows(numbers[order])
        ordered = {name: np.asarray(values)[order] for name, values in further.items()}
        self.estimator_ = fit(clone(self.estimator), rows, np.asarray(y)[order], **ordered)
        self.classes_ = self.estimator_.classes_
        self.n_features_in_ = 1
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Probabilities of rows by their numbers, columns by ``classes_``."""
        return self._by_block("predict_proba", X)

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest labels of rows by their numbers."""
        return self._by_block("predict", X)

    @available_if(lambda self: hasattr(self.estimator, "decision_function"))
    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Scores of rows by their numbers."""
        return self._by_block("decision_function", X)

    def _by_block(self, method: str, X: Any) -> NDArray[Any]:
        ask = getattr(self.estimator_, method)
        numbers, order = _ascending(X)
        parts = [ask(rows) for _, rows in self.features.rows(numbers[order])]
        answers = np.concatenate(parts)
        placed = np.empty_like(answers)
        placed[order] = answers
        return placed


def _ascending(X: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers, and the order in which they are read."""
    numbers = np.asarray(X)[:, 0].astype(np.int64)
    return numbers, np.argsort(numbers, kind="stable")


def released(fitted: Any, n_features: int) -> Any:
    """Put every fitted classifier in the place of the one that stands for it.

    Parameters
    ----------
    fitted : estimator
        With `StreamedClassifier` somewhere in it; it is changed.
    n_features : int
        What it takes from now on.
    """
    return _released(fitted, n_features)[0]


def _released(held: Any, n_features: int) -> tuple[Any, bool]:
    """What takes the place of a value, and whether anything in it was a stand-in."""
    if isinstance(held, StreamedClassifier):
        return getattr(held, "estimator_", held.estimator), True
    if isinstance(held, list | tuple):
        pairs = [_released(value, n_features) for value in held]
        return type(held)(value for value, _ in pairs), any(found for _, found in pairs)
    if isinstance(held, dict):
        pairs = [_released(value, n_features) for value in held.values()]
        named = dict(zip(held, (value for value, _ in pairs), strict=True))
        return named, any(found for _, found in pairs)
    # Estimators, and what scikit-learn keeps a pair of classifier and calibrator in.
    if type(held).__module__.partition(".")[0] not in ("clipfeat", "sklearn"):
        return held, False
    found = False
    for name, value in vars(held).items():
        inner, here = _released(value, n_features)
        if here:
            setattr(held, name, inner)
            found = True
    if found and hasattr(held, "n_features_in_"):
        held.n_features_in_ = n_features
    return held, found
