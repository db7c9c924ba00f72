"""Finished cells on the disk, so that an interrupted benchmark goes on where it was.

A cell is found by a digest of all that it depends on: features, labels, groups, the rows of the
split, the classifier and what was asked of it, and the libraries' versions. So a run
with one more classifier fits that one alone, and another seed, label or library fits anew. What is
not in the digest is whether a GPU was there.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from clipfeat.errors import RefusedFileError
from clipfeat.fits.cells import Asked, Cell, Rows, Settings
from clipfeat.system.files import publish, read_arrays, storage_errors
from clipfeat.zoo.folds import Split
from clipfeat.zoo.tuning import Tuned

LIBRARIES = (
    "clipfeat", "faiss-cpu", "lightgbm", "numpy", "scikit-learn", "scikit-learn-intelex", "scipy",
    "torch", "xgboost",
)  # fmt: skip
"""Whatever may change a fit."""


def versions() -> dict[str, str]:
    """The versions of `LIBRARIES`; empty where one is not installed."""
    found = dict.fromkeys(LIBRARIES, "")
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def digest_of(data: Rows) -> str:
    """A digest of features, labels and groups."""
    hashed = hashlib.sha256()
    for values in data:
        hashed.update(repr(None if values is None else (values.shape, values.dtype.str)).encode())
        if values is not None:
            hashed.update(np.ascontiguousarray(values).view(np.uint8).data)
    return hashed.hexdigest()


def cell_key(of_data: str, split: Split, asked: Mapping[str, Any]) -> str:
    """A digest of all that a cell depends on.

    Parameters
    ----------
    of_data : str
        By `digest_of`.
    split : (train, test)
        Row numbers.
    asked : mapping
        The classifier and its settings, as JSON can hold them.
    """
    hashed = hashlib.sha256(of_data.encode())
    for rows in split:
        hashed.update(np.ascontiguousarray(rows, dtype=np.int64).tobytes() + b"|")
    hashed.update(json.dumps([versions(), asked], sort_keys=True).encode())
    return hashed.hexdigest()


@dataclass(frozen=True)
class Keeper:
    """Reads and writes finished cells of one run.

    Parameters
    ----------
    folder : Path
        Where they are.
    of_data : str
        By `digest_of`.
    settings : Settings
        What is asked of every classifier.
    time_limit : float, optional
        As in `clipfeat.evaluate.benchmark.benchmark`.
    """

    folder: Path
    of_data: str
    settings: Settings
    time_limit: float | None

    def read(self, asked: Asked) -> Cell | None:
        """The cell, if it is finished."""
        return read_cell(self.folder, self._key(asked))

    def write(self, cell: Cell, asked: Asked) -> None:
        """Keep a finished cell."""
        write_cell(cell, self.folder, self._key(asked))

    def _key(self, asked: Asked) -> str:
        about = {
            "name": asked.name,
            "columns": [asked.columns.start, asked.columns.stop],
            "seed": asked.seed,
            "limit": self.time_limit,
            "size": asked.measure_size,
            **asdict(self.settings),
        }
        return cell_key(self.of_data, asked.split, about)


def write_cell(cell: Cell, folder: Path, key: str) -> None:
    """Write a cell, whole or not at all."""
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
    """Read a cell; None where there is none, or it is damaged."""
    path = folder / f"{key}.npz"
    if not path.is_file():
        return None
    try:
        with storage_errors(f"reading {path}"):
            saved = read_arrays(path)
        about = json.loads(str(saved["about"]))
        tuned = None if about["tuned"] is None else Tuned(**about["tuned"])
        return Cell(saved["test"], saved.get("train"), about["costs"], tuned, about["seconds"])
    except (RefusedFileError, ValueError, KeyError, TypeError):
        return None
