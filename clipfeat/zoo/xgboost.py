"""Gradient boosting by XGBoost."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from xgboost import XGBClassifier

from clipfeat.zoo.acceleration import pick_device
from clipfeat.zoo.boosted_trees import margins_to_probabilities
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.label_encoding import LabelEncodedClassifier


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make 150 trees of depth 5 or less. Each tree uses a random tenth of the features."""
    return LabelEncodedClassifier(
        PortableXGBClassifier(
            n_estimators=150,
            learning_rate=0.13,
            max_depth=5,
            colsample_bytree=0.1,
            max_bin=32,  # with thousands of features, histograms take most of the time
            subsample=0.8,
            tree_method="hist",
            random_state=random_state,
            n_jobs=n_jobs,
            device=pick_device(options.accelerate),
        )
    )


class PortableXGBClassifier(XGBClassifier):
    """XGBClassifier that predicts on the CPU after a fit on a GPU.

    A model that is fitted on a GPU can then be loaded on a machine without one.
    """

    def fit(self, X: Any, y: Any, **fit_params: Any) -> Self:
        """Fit as `xgboost.XGBClassifier` does."""
        super().fit(X, y, **fit_params)
        if self.device == "cuda":
            self.get_booster().set_param({"device": "cpu"})
            self.set_params(device="cpu")
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # type: ignore[override]
        """Predict probabilities. Columns follow ``classes_``.

        XGBoost computes sigmoids in float32, with functions that differ between platforms. Here it
        computes the margins only.
        """
        return margins_to_probabilities(self.predict(X, output_margin=True))
