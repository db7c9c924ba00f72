"""Gradient boosting by LightGBM."""

from typing import Any

from lightgbm import LGBMClassifier

from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make 200 trees of at most 31 leaves. Each tree uses a random tenth of the features.

    The histograms are coarse, with at most 63 bins per feature.
    """
    return LGBMClassifier(
        n_estimators=200,
        learning_rate=0.1,
        colsample_bytree=0.1,
        max_bin=63,
        subsample=0.8,
        subsample_freq=1,
        min_child_samples=10,
        random_state=random_state,
        n_jobs=n_jobs,
        deterministic=True,
        force_col_wise=True,
        verbosity=-1,
    )
