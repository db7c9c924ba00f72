"""Blocks of rows that are scaled while they are read."""

from collections.abc import Iterator
from typing import Any

from clipfeat.store.streaming import Block, StreamedRows
from clipfeat.zoo.scaling import UnitScaler


class ScaledBlocks:
    """Blocks of scaled rows; a first pass over the rows fits the scaler.

    Parameters
    ----------
    scaler : UnitScaler
        Unfitted scaler.
    rows : StreamedRows
        Rows to scale in each further pass.
    """

    def __init__(self, scaler: UnitScaler, rows: StreamedRows) -> None:
        self.scaler: Any = scaler.fit_blocks(X for _, X in rows)
        self.rows = rows

    def __iter__(self) -> Iterator[Block]:
        for places, X in self.rows:
            yield places, self.scaler.transform(X)
