"""Linear support vectors."""

from typing import Any

from sklearn.pipeline import make_pipeline

from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.primal import PrimalSVC
from clipfeat.zoo.scaling import UnitScaler


def make(*, random_state: int, n_jobs: int, accelerate: bool) -> Any:
    """Scale, then a linear SVC calibrated by cross-validation."""
    return GroupCalibratedClassifier(
        make_pipeline(UnitScaler(), PrimalSVC(C=0.5)), n_splits=3, random_state=random_state
    )
