"""Gradient boosting by LightGBM."""

from typing import Any

from lightgbm import LGBMClassifier

from clipfeat.zoo.boosted_trees import margins_to_probabilities
from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make 200 trees of at most 31 leaves. Each tree uses a random tenth of the features.

    The histograms are coarse, with at most 63 bins per feature.
    """
    return PortableLGBMClassifier(
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


class PortableLGBMClassifier(LGBMClassifier):
    """LGBMClassifier that predicts the same probabilities as its model file, to the last bit."""

    def predict_proba(self, X: Any, **options: Any) -> Any:  # type: ignore[override]
        """Predict probabilities. Columns follow ``classes_``.

        The options are those of LightGBM. LightGBM's ``predict`` passes them on to this method.
        """
        if any(options.get(name) for name in ("raw_score", "pred_leaf", "pred_contrib")):
            return super().predict_proba(X, **options)
        margins: Any = super().predict_proba(X, **options | {"raw_score": True})
        return margins_to_probabilities(margins)
