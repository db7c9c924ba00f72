"""k nearest neighbours."""

from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.validation import validate_data
from threadpoolctl import threadpool_limits

from clipfeat.system.optional_libraries import require
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.scaling import make_scaler
from clipfeat.zoo.size import LARGE, warn_of_size


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a pipeline that scales and L2-normalises rows, and finds their 25 nearest neighbours.

    The neighbours vote for their classes, weighted by inverse distance.
    """
    classifier = CappedNeighborsClassifier(25, weights="distance", algorithm="brute", n_jobs=n_jobs)
    return make_pipeline(make_scaler(options.scale), Normalizer(), classifier)


class CappedNeighborsClassifier(KNeighborsClassifier):
    """k nearest neighbours. If there are fewer than k training rows, all rows are neighbours.

    Above `LARGE` training rows, the neighbours are found with an inverted file index of faiss. For
    each row, faiss searches the 32 cells of the index that are nearest to the row. This is much
    faster than an exact search and nearly always finds the exact neighbours. The index is built on
    the first prediction and is not part of the model file.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Store the training rows."""
        self._index: Any = None
        if len(X) > LARGE:
            warn_of_size("knn finds neighbours with an approximate index")
        super().fit(X, y)
        return self

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find the nearest training rows. See `sklearn.neighbors.KNeighborsClassifier`."""
        wanted = self.n_neighbors if n_neighbors is None else n_neighbors
        most = self.n_samples_fit_ - (X is None)
        if X is None or self.n_samples_fit_ <= LARGE:
            return super().kneighbors(X, min(wanted, most), return_distance)
        rows = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        with threadpool_limits(joblib.effective_n_jobs(self.n_jobs), user_api="openmp"):
            if self._index is None:
                self._index = _build_index(np.ascontiguousarray(self._fit_X, dtype=np.float32))
            squared, places = self._index.search(rows, wanted)
        return (np.sqrt(np.maximum(squared, 0)), places) if return_distance else places

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the index."""
        state: dict[str, Any] = super().__getstate__()
        return {**state, "_index": None}


def _build_index(rows: NDArray[np.float32]) -> Any:
    """Build an inverted file index of faiss.

    The number of its cells is four times the square root of the number of rows.
    """
    require("faiss", "a search of neighbours in more than 50,000 rows")
    import faiss

    cells = int(4 * np.sqrt(len(rows)))
    quantizer = faiss.IndexFlatL2(rows.shape[1])
    index = faiss.IndexIVFFlat(quantizer, rows.shape[1], cells)
    index.cp.max_points_per_centroid = 64
    index.train(rows)
    index.add(rows)
    index.nprobe = 32
    return index
