"""Logistic regression."""

from typing import Any, Self

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.one_blas_thread import one_blas_thread
from clipfeat.zoo.scaling import make_scaler


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a pipeline of a scaler and an L2-penalised logistic regression."""
    classifier = SerialLogisticRegression(
        C=4.0,  # the prior standard deviation of the logits is 2; see UnitScaler
        max_iter=2000,
        random_state=random_state,
    )
    scaler = make_pipeline(make_scaler(options.scale)).steps
    return Pipeline([*scaler, ("logisticregression", classifier)])


class SerialLogisticRegression(LogisticRegression):
    """Logistic regression that is fitted in one thread. See `clipfeat.zoo.one_blas_thread`."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit as `sklearn.linear_model.LogisticRegression` does."""
        with one_blas_thread():
            super().fit(X, y, sample_weight)
        return self
