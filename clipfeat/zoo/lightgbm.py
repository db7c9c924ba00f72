"""Gradient boosting by LightGBM."""

from typing import Any

from lightgbm import LGBMClassifier


def make(*, random_state: int, n_jobs: int, accelerate: bool) -> Any:
    """300 trees of 31 leaves, each seeing three tenths of the features."""
    return LGBMClassifier(
        n_estimators=300,
        learning_rate=0.1,
        colsample_bytree=0.3,
        subsample=0.8,
        subsample_freq=1,
        min_child_samples=10,
        random_state=random_state,
        n_jobs=n_jobs,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
    )
