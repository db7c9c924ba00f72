"""Rows that are scaled on their way from the disk."""

from collections.abc import Iterator
from typing import Any

from clipfeat.store.streaming import Block, StreamedRows
from clipfeat.zoo.scaling import UnitScaler


class Scaled:
    """Blocks of rows, scaled by what a first pass over them teaches the scaler.

    Parameters
    ----------
    scaler : UnitScaler
        It is fitted here.
    rows : StreamedRows
        To be scaled in each further pass.
    """

    def __init__(self, scaler: UnitScaler, rows: StreamedRows) -> None:
        self.scaler: Any = scaler.fit_blocks(X for _, X in rows)
        self.rows = rows

    def __iter__(self) -> Iterator[Block]:
        for places, X in self.rows:
            yield places, self.scaler.transform(X)
