"""Labels of any type for classifiers whose labels must be 0 to n_classes - 1."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.folds import check_classes


class LabelEncodedClassifier(ClassifierMixin, BaseEstimator):
    """Classifier that encodes labels as integers for its estimator.

    Parameters
    ----------
    estimator : estimator
        Classifier that takes labels 0 to n_classes - 1.
    class_weight : "balanced", dict or None
        Class weights by label. They are passed to the estimator as ``sample_weight``.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    estimator_ : estimator
        Fitted clone.
    """

    def __init__(self, estimator: Any, *, class_weight: Any = None) -> None:
        self.estimator = estimator
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> Self:
        """Encode the labels and fit."""
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        check_classes(self.classes_)
        weights = {}
        if self.class_weight is not None:
            weights["sample_weight"] = compute_sample_weight(self.class_weight, y)
        self.estimator_ = clone(self.estimator).fit(X, codes, **weights)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Predict probabilities. Columns follow ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        probabilities: NDArray[np.floating] = self.estimator_.predict_proba(X)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
