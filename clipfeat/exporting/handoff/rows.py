"""The rows that are exported for another program: one row for each image file."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipfeat.browsing.data import BrowseData, open_browse_data
from clipfeat.browsing.run_predictions import (
    BrowsePredictions,
    predictions_from_run,
    run_entries,
)
from clipfeat.evaluate.result import Benchmark
from clipfeat.features.column_names import OWN_COLUMNS
from clipfeat.images.readers import Reader
from clipfeat.images.thumbnails import find_readers
from clipfeat.store import load
from clipfeat.system.progress import Report, silent

PREDICTED = "predicted"
BATCH = 256
"""Number of rows that are written together. A small number keeps few images in memory."""


@dataclass(frozen=True, eq=False)
class HandoffRows:
    """Rows of a feature file, with their images and predictions.

    Parameters
    ----------
    data : BrowseData
        The features, one row for each file.
    readers : mapping of str to Reader
        Readers of the images that were found, by path.
    predictions : BrowsePredictions, optional
        Out-of-fold predictions of a run.
    """

    data: BrowseData
    readers: Mapping[str, Reader]
    predictions: BrowsePredictions | None = None

    def __len__(self) -> int:
        return len(self.data)

    @property
    def X(self) -> NDArray[np.float32]:
        """Features of shape (n_rows, n_features)."""
        return self.data.features.X

    def texts(self, reserved: Collection[str] = ()) -> dict[str, NDArray[np.str_]]:
        """Return texts by column: the path, the content hash, the label and further columns.

        If the name of a source's column is in `reserved` or is already used, underscores are
        appended until it is unique.
        """
        features = self.data.features
        own = {
            "path": self.data.paths,
            "key": features.keys.astype(np.str_),
            "label": features.labels,
        }
        if features.groups is not None:
            own["group"] = features.groups
        taken = {*own, *reserved}
        more = {name: v for name, v in features.columns.items() if name not in OWN_COLUMNS}
        columns: dict[str, NDArray[np.str_]] = {}
        for name, values in more.items():
            free = name
            while free in taken or (free != name and free in more) or free in columns:
                free += "_"
            columns[free] = values
        return {**own, **columns}

    @property
    def probabilities(self) -> dict[str, NDArray[np.float64]]:
        """Out-of-fold probability of each class by column, such as ``p_cat``."""
        if self.predictions is None:
            return {}
        names = enumerate(self.predictions.classes)
        return {f"p_{name}": self.predictions.p[:, code] for code, name in names}

    @property
    def predicted(self) -> list[str | None]:
        """Predicted class of each row. None for a row that was not tested."""
        assert self.predictions is not None
        names = self.predictions.classes
        return [names[code] if code >= 0 else None for code in self.predictions.predicted.tolist()]

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Yield the row numbers in batches."""
        for start in range(0, len(self), BATCH):
            yield np.arange(start, min(start + BATCH, len(self)))

    def reader(self, row: int) -> Reader | None:
        """Return the reader of a row's image, or None if the image was not found."""
        return self.readers.get(str(self.data.paths[row]))


def open_rows(
    features: str | Path, images: Sequence[str | Path] = (), run: str | Path | None = None, *,
    report: Report = silent,
) -> HandoffRows:  # fmt: skip
    """Open a feature file, its images and a run. See `clipfeat.exporting.handoff.hand_off`."""
    data = open_browse_data(load(features, progress=report), [features], images)
    predictions = None
    if run is not None:
        benchmark = Benchmark.load(run)
        predictions = predictions_from_run(data, benchmark, run_entries(benchmark)[0])
    return HandoffRows(data, find_readers(data.paths.tolist(), data.roots), predictions)
