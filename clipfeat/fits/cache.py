"""Cache of finished cells on disk, so that an interrupted benchmark resumes.

A cell is one classifier that is fitted and scored on one split. Its key is a digest of everything
that the cell depends on: the features, the labels, the groups, the row numbers of the split, the
classifier with its options, and the versions of the libraries. If a classifier is added to a run,
only this classifier is fitted. If the seed, a label or the version of a library changes, the cells
are fitted again. The key does not depend on whether a GPU was used.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from clipfeat.errors import RefusedFileError
from clipfeat.fits.cells import Cell, CellSpec
from clipfeat.system.files import publish, read_arrays, storage_errors
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import Split, TrainingData
from clipfeat.zoo.spaces import Tuned

VERSIONED = (
    "clipfeat", "faiss-cpu", "lightgbm", "numpy", "scikit-learn", "scikit-learn-intelex", "scipy",
    "torch", "xgboost",
)  # fmt: skip
"""Packages whose version can change the result of a fit."""


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of the packages in `VERSIONED`. Reading them takes milliseconds.

    The version of a package that is not installed is empty.
    """
    installed = dict.fromkeys(VERSIONED, "")
    for name in VERSIONED:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed


def data_digest(data: TrainingData) -> str:
    """Compute a digest of the features, labels and groups."""
    hashed = hashlib.sha256()
    for values in data:
        hashed.update(repr(None if values is None else (values.shape, values.dtype.str)).encode())
        if values is not None:
            hashed.update(np.ascontiguousarray(values).view(np.uint8).data)
    return hashed.hexdigest()


def cell_key(digest: str, split: Split, settings: Mapping[str, Any]) -> str:
    """Compute the cache key of a cell.

    Parameters
    ----------
    digest : str
        Digest of the data, from `data_digest`.
    split : (train, test)
        Row numbers of the training rows and of the test rows.
    settings : mapping
        Name of the classifier and its settings. JSON must be able to represent them.
    """
    hashed = hashlib.sha256(digest.encode())
    for rows in split:
        hashed.update(np.ascontiguousarray(rows, dtype=np.int64).tobytes() + b"|")
    hashed.update(json.dumps([versions(), settings], sort_keys=True).encode())
    return hashed.hexdigest()


@dataclass(frozen=True)
class CellCache:
    """Cache of the finished cells of one run.

    Parameters
    ----------
    folder : Path
        Folder of the cached cells.
    digest : str
        Digest of the data, from `data_digest`.
    options : FitOptions
        Options of all cells of the run.
    out_of_fold : bool
        Whether the cells also hold out-of-fold probabilities of their training rows.
    time_limit : float, optional
        Time limit of the run, in seconds. A cell with a parameter search is reused only if the time
        limit is the same.
    """

    folder: Path
    digest: str
    options: FitOptions
    out_of_fold: bool
    time_limit: float | None

    def read(self, spec: CellSpec) -> Cell | None:
        """Return a finished cell (one classifier on one fold), or None if it is not cached."""
        return read_cell(self.folder, self._key(spec))

    def write(self, cell: Cell, spec: CellSpec) -> None:
        """Write a finished cell to the cache."""
        write_cell(cell, self.folder, self._key(spec))

    def _key(self, spec: CellSpec) -> str:
        settings = {
            "name": spec.name,
            "columns": [spec.columns.start, spec.columns.stop],
            "seed": spec.seed,
            # The limit changes the result of a parameter search only. Other fits finish or fail.
            "limit": self.time_limit if self.options.tune else None,
            "size": spec.measure_size,
            # Earlier versions predicted the training rows of a bag with single members of the bag.
            # The value "bags" keeps their cells from being reused.
            "inner": "bags" if self.out_of_fold and self.options.bag else self.out_of_fold,
            **self.options.record(),
        }
        if spec.threshold_rows is not None:
            settings["threshold_rows"] = spec.threshold_rows.tolist()
        return cell_key(self.digest, spec.split, settings)


def write_cell(cell: Cell, folder: Path, key: str) -> None:
    """Write a cell atomically, so that an interrupted write leaves no damaged file."""
    about = {
        "costs": dict(cell.costs),
        "tuned": None if cell.tuned is None else vars(cell.tuned),
        "seconds": cell.seconds,
    }
    arrays = {"test": cell.test, "about": np.array(json.dumps(about))}
    if cell.train is not None:
        arrays["train"] = cell.train
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    with storage_errors(f"making {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    publish(buffer.getvalue(), folder / f"{key}.npz")


def read_cell(folder: Path, key: str) -> Cell | None:
    """Return a cell from its file, or None if the file is missing or damaged."""
    path = folder / f"{key}.npz"
    if not path.is_file():
        return None
    try:
        with storage_errors(f"reading {path}"):
            saved = read_arrays(path)
        about = json.loads(str(saved["about"]))
        tuned = None if about["tuned"] is None else Tuned(**about["tuned"])
        return Cell(saved["test"], saved.get("train"), about["costs"], tuned, about["seconds"])
    except (RefusedFileError, ValueError, KeyError, TypeError, RecursionError):
        return None
