"""Linear support vector machine."""

from typing import Any

from sklearn.pipeline import make_pipeline

from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.primal import PrimalSVC
from clipfeat.zoo.scaling import make_scaler


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a pipeline of a scaler and a linear SVM, calibrated by cross-validation."""
    return GroupCalibratedClassifier(
        make_pipeline(make_scaler(options.scale), PrimalSVC(C=0.5)),
        n_splits=3,
        random_state=random_state,
    )
