"""k nearest neighbours."""

from typing import Any

from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from clipfeat.zoo.balance import PriorCorrectedClassifier


def make(*, random_state: int, balance: bool, n_jobs: int) -> Any:
    """Standardise, put rows on the unit sphere, then vote of the 15 nearest, by distance."""
    classifier = KNeighborsClassifier(15, weights="distance", algorithm="brute", n_jobs=n_jobs)
    if balance:
        classifier = PriorCorrectedClassifier(classifier)
    return make_pipeline(StandardScaler(), Normalizer(), classifier)
