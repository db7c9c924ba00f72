"""Logistic regression."""

from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.scaling import UnitScaler


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a pipeline of a scaler and an L2-penalised logistic regression."""
    return make_pipeline(
        UnitScaler(),
        LogisticRegression(
            C=4.0,  # prior logits of standard deviation 2, see UnitScaler
            max_iter=2000,
            random_state=random_state,
        ),
    )
