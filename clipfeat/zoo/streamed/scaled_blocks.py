"""Blocks of rows that are scaled while they are read."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from clipfeat.store.streaming import Block, StreamedRows
from clipfeat.zoo.scaling import UnitScaler


class ScaledBlocks:
    """Blocks of scaled rows, which can be iterated over several times.

    A `UnitScaler` is fitted when the object is created, in one pass over the rows.

    Parameters
    ----------
    scaler : UnitScaler, Normalizer or "passthrough"
        Unfitted scaler, from `clipfeat.zoo.scaling.make_scaler`.
    rows : StreamedRows
        Rows to scale.
    """

    def __init__(self, scaler: Any, rows: StreamedRows) -> None:
        if isinstance(scaler, UnitScaler):
            scaler.fit_blocks(X for _, X in rows)
        elif scaler != "passthrough":  # a Normalizer learns only the number of features
            scaler.fit(np.zeros((1, rows.shape[1]), dtype=np.float32))
        self.scaler = scaler
        self.rows = rows

    def __iter__(self) -> Iterator[Block]:
        for places, X in self.rows:
            yield places, X if self.scaler == "passthrough" else self.scaler.transform(X)
