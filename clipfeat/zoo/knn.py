"""k nearest neighbours."""

from typing import Any

from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler


def make(*, random_state: int, n_jobs: int, accelerate: bool) -> Any:
    """Standardise, put rows on the unit sphere, then vote of the 25 nearest, by distance."""
    classifier = CappedNeighborsClassifier(25, weights="distance", algorithm="brute", n_jobs=n_jobs)
    return make_pipeline(StandardScaler(), Normalizer(), classifier)


class CappedNeighborsClassifier(KNeighborsClassifier):
    """Neighbours whose number is at most that of the training rows, for very small sets."""

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find the nearest training rows; see `KNeighborsClassifier.kneighbors`."""
        wanted = self.n_neighbors if n_neighbors is None else n_neighbors
        most = self.n_samples_fit_ - (X is None)
        return super().kneighbors(X, min(wanted, most), return_distance)
