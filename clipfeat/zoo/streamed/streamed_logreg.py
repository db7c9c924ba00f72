"""Out-of-core logistic regression, with scikit-learn's objective and solver."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_sample_weight

from clipfeat.store.streaming import StreamedRows
from clipfeat.zoo.folds import check_classes
from clipfeat.zoo.linear import minimise
from clipfeat.zoo.streamed.scaled_blocks import ScaledBlocks

Matrix = NDArray[np.floating]


def fit(pipeline: Any, rows: StreamedRows, y: NDArray[Any]) -> Any:
    """Fit the scaler in one pass over the rows, then the regression in one pass per L-BFGS step.

    The loss is logistic for two classes and multinomial for more. The initial weights, the penalty
    and the tolerances are the same as in `sklearn.linear_model.LogisticRegression`. The solver
    therefore takes the same steps as in a fit in memory, up to rounding errors.
    """
    last = pipeline[-1]
    classes, codes = np.unique(y, return_inverse=True)
    check_classes(classes)
    weight = compute_sample_weight(last.class_weight, y)

    def binary(scores: Matrix, places: slice) -> tuple[Matrix, Matrix]:
        s = scores.astype(np.float64)
        truth, w = codes[places, None], weight[places, None]
        return w * (np.logaddexp(0, s) - truth * s), w * (expit(s) - truth)

    def multinomial(scores: Matrix, places: slice) -> tuple[Matrix, Matrix]:
        log_p = log_softmax(scores.astype(np.float64), axis=1)
        truth = codes[places, None] == np.arange(len(classes))
        w = weight[places, None]
        return w * -log_p[truth][:, None], w * (np.exp(log_p) - truth)

    two = len(classes) == 2
    result = minimise(
        ScaledBlocks(pipeline[0], rows), (1 if two else len(classes), rows.shape[1] + 1),
        binary if two else multinomial, penalty=1 / last.C, total=float(weight.sum()),
        maxiter=last.max_iter, gtol=last.tol, ftol=64 * np.finfo(float).eps, maxls=50,
    )  # fmt: skip
    if not result.success:
        warnings.warn(
            f"logistic regression did not converge in {result.nit} steps of L-BFGS "
            f"({result.message})",
            ConvergenceWarning,
            stacklevel=2,
        )
    # scikit-learn also returns float32 for float32 features. Float64 coefficients would make each
    # prediction copy its rows to float64.
    last.coef_, last.intercept_ = np.split(result.x.astype(np.float32), [-1], axis=1)
    last.intercept_ = last.intercept_.ravel()
    last.classes_, last.n_iter_ = classes, np.array([result.nit], dtype=np.int32)
    last.n_features_in_ = rows.shape[1]
    return pipeline
