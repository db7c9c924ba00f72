"""Codecs of linear classifiers."""

from contextlib import suppress
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import LabelBinarizer

from clipfeat.model.codecs.codec import Codec, Conversion
from clipfeat.model.nodes import NodeReader, NodeWriter
from clipfeat.zoo.logreg import SerialLogisticRegression
from clipfeat.zoo.primal import PrimalSVC

SHAPES = ("vector", "matrix")
"""Shapes of the weights of a ridge classifier."""


def _write(estimator: Any, node: NodeWriter) -> None:
    node.classes(estimator.classes_)
    node.array("coef", estimator.coef_)
    node.array("intercept", estimator.intercept_)


def _read(node: NodeReader, estimator: Any) -> Any:
    """Read the weights into an estimator: one row per class, or a single row for two classes."""
    classes = node.classes()
    rows = 1 if len(classes) == 2 else len(classes)
    estimator.classes_ = classes
    estimator.coef_ = node.array("coef", (rows, node.n_features))
    estimator.intercept_ = node.array("intercept", (rows,))
    return estimator


def _write_ridge(ridge: RidgeClassifier, node: NodeWriter) -> None:
    node.classes(ridge.classes_)
    node.put("shape", SHAPES[np.ndim(ridge.coef_) - 1])
    node.array("coef", np.atleast_2d(ridge.coef_))
    node.array("intercept", np.atleast_1d(ridge.intercept_))


def _read_ridge(node: NodeReader) -> RidgeClassifier:
    ridge = RidgeClassifier()
    classes = node.classes()
    rows = 1 if len(classes) == 2 else len(classes)
    # The solver of scikit-learn returns a vector for two classes.
    weights = node.array("coef", (rows, node.n_features))
    ridge.coef_ = weights if node.choice("shape", SHAPES) == "matrix" else weights.ravel()
    ridge.intercept_ = node.array("intercept", (rows,))
    ridge._label_binarizer = LabelBinarizer(pos_label=1, neg_label=-1).fit(classes)
    with suppress(AttributeError):  # a property of the binarizer before scikit-learn 1.9
        ridge.classes_ = classes
    return ridge


def _read_lda(node: NodeReader) -> LinearDiscriminantAnalysis:
    lda = _read(node, LinearDiscriminantAnalysis(solver="lsqr"))
    lda._max_components = min(len(lda.classes_) - 1, node.n_features)
    return lda


def _as_plain(serial: SerialLogisticRegression) -> LogisticRegression:
    plain = LogisticRegression(**serial.get_params())
    vars(plain).update(vars(serial))
    return plain


LOGISTIC_REGRESSION = Codec(
    LogisticRegression, _write, lambda node: _read(node, LogisticRegression())
)
LOGISTIC_CONVERSION = Conversion(SerialLogisticRegression, _as_plain)
RIDGE = Codec(RidgeClassifier, _write_ridge, _read_ridge)
LDA = Codec(LinearDiscriminantAnalysis, _write, _read_lda)
PRIMAL_SVC = Codec(PrimalSVC, _write, lambda node: _read(node, PrimalSVC()))
