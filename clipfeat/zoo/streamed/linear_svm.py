"""Linear support vectors, by the objective and the solver of `clipfeat.zoo.primal.PrimalSVC`."""

from typing import Any

from numpy.typing import NDArray

from clipfeat.store.streaming import StreamedRows
from clipfeat.zoo.streamed.scaled import Scaled


def fit(pipeline: Any, rows: StreamedRows, y: NDArray[Any]) -> Any:
    """Fit the scaler in one pass, then the classifier in one for each step of L-BFGS."""
    pipeline[-1].n_features_in_ = rows.shape[1]
    pipeline[-1].fit_blocks(Scaled(pipeline[0], rows), y)
    return pipeline
