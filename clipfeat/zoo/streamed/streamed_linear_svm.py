"""Out-of-core linear SVM, with the objective and solver of `clipfeat.zoo.primal.PrimalSVC`."""

from typing import Any

from numpy.typing import NDArray

from clipfeat.store.streaming import StreamedRows
from clipfeat.zoo.streamed.scaled_blocks import ScaledBlocks


def fit(pipeline: Any, rows: StreamedRows, y: NDArray[Any]) -> Any:
    """Fit the scaler in one pass over the rows, then the SVM in one pass per step of L-BFGS."""
    pipeline[-1].n_features_in_ = rows.shape[1]
    pipeline[-1].fit_blocks(ScaledBlocks(pipeline[0], rows), y)
    return pipeline
