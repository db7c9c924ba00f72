"""Ridge regression on the labels."""

from typing import Any

from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline

from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.scaling import make_scaler


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a pipeline of a scaler and ridge regression, calibrated by cross-validation.

    The targets of the regression are 1 for a class and -1 for the other classes.
    """
    ridge = RidgeClassifier(alpha=1.0, solver="cholesky")
    return GroupCalibratedClassifier(
        make_pipeline(make_scaler(options.scale), ridge), n_splits=3, random_state=random_state
    )
