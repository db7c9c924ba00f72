"""Loading feature files into memory, and reading their metadata."""

import json
import re
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import RefusedFileError
from clipfeat.features import FeatureSet, join, order_classes
from clipfeat.features.column_names import with_own_files
from clipfeat.features.label_text import class_names
from clipfeat.spec import EncoderSpec
from clipfeat.store.format import PARTS_SUFFIX, SHARDS_SUFFIX, Column
from clipfeat.store.reading import Stored, is_there, open_stored
from clipfeat.system.locations import followed, location
from clipfeat.system.progress import Phase, Report, reporting


def load(
    *paths: str | Path, merge_labels: bool = False, progress: bool | Report = True
) -> FeatureSet:
    """Read feature files into memory.

    If there are several files, their features are joined by image.

    Parameters
    ----------
    *paths : path
        Feature files of different encoders, with the same images.
    merge_labels : bool
        Whether to merge classes whose names differ only in capitals or spaces.
    progress : bool or callable
        Show the progress on standard error. A callable is called with each
        `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    FeatureSet
        Features as float32, in the order of the first file.

    Raises
    ------
    RefusedFileError
        If a file is missing or damaged, or is not a feature file.
    JoinError
        If the files hold different images.
    """
    with reporting(progress) as report:
        sets = [_load(path, report) for path in paths]
    if merge_labels:
        first = sets[0].merged_labels()
        sets = [first, *(one.merged_labels(first.classes) for one in sets[1:])]
    return join(sets)


def _load(path: str | Path, report: Report) -> FeatureSet:
    with open_stored(path) as stored:
        stored.spec.warn_if_untrained(path)
        X = np.empty((stored.n_rows, stored.spec.n_features), dtype=np.float32)
        at = 0
        for rows in stored.features():
            X[at : at + len(rows)] = rows
            at += len(rows)
            report(Phase("loading", at, stored.n_rows, "rows", detail=Path(path).name))
        label_codes, written = stored.label_codes()
        present = {written[code] for code in np.unique(label_codes).tolist()}
        names = class_names(present)
        classes = order_classes({names[label] for label in present} - {""})
        code = {name: i for i, name in enumerate(classes)}
        y = np.array([code.get(names.get(label, ""), -1) for label in written], dtype=np.int64)
        groups = stored.strings("groups")
        keys = stored.column("keys").tobytes().hex().encode()
        columns = {name: stored.source_column(name) for name in stored.column_names}
        if (split := stored.strings("split")).any():
            columns["split"] = split
        paths = stored.strings("paths")
        return FeatureSet(
            X=X,
            y=y[label_codes],
            classes=classes,
            paths=paths,
            keys=np.frombuffer(keys, dtype="S32"),
            groups=groups if groups.any() else None,
            specs=(stored.spec,),
            columns=with_own_files(columns, paths),
            failures=tuple(stored.failures),
            weight_files=weight_files(stored),
        )


def weight_files(stored: Stored) -> dict[str, str]:
    """Map the digest of the weights to the name of their local file. Use it only for display."""
    name = provenance(stored).get("weights")
    if not stored.spec.weights or not isinstance(name, str) or name in ("hub", "none"):
        return {}
    return {stored.spec.weights: re.split(r"[\\/]", name)[-1]}


@dataclass(frozen=True)
class FileProperties:
    """Properties of the image files of a feature file. Unknown values are zero or empty.

    Parameters
    ----------
    file_size : ndarray of shape (n_rows,), int64
        Size of each image file in bytes.
    height, width : ndarray of shape (n_rows,), int32
        Size of each image in pixels.
    format : ndarray of shape (n_rows,), str
        Format of each image file, as named by Pillow.
    """

    file_size: Column
    height: Column
    width: Column
    format: NDArray[np.str_]


def file_properties(path: str | Path) -> FileProperties:
    """Read properties of the images of a feature file, in the row order of `load`.

    Raises
    ------
    RefusedFileError
        If the file is missing or damaged, or is not a feature file.
    """
    with open_stored(path) as stored:
        height, width = stored.column("image_size").T
        return FileProperties(stored.column("file_size"), height, width, stored.strings("format"))


def paths_without_size(path: str | Path) -> frozenset[str]:
    """Return the paths of the rows whose file size is unknown, such as frames and imported rows.

    The keys of all other rows are hashes of the bytes of a file.

    Raises
    ------
    RefusedFileError
        If the file is missing or damaged, or is not a feature file.
    """
    with open_stored(path) as stored:
        unknown = np.asarray(stored.column("file_size"), dtype=np.int64) <= 0
        return (
            frozenset(stored.strings("paths")[unknown].tolist()) if unknown.any() else frozenset()
        )


def feature_files_in(folder: str | Path) -> list[Path]:
    """List the feature files in a folder, sorted by name. Files of unfinished runs are included."""
    here = Path(folder)
    parts = (
        path.with_name(path.name.removesuffix(suffix))
        for suffix in (PARTS_SUFFIX, SHARDS_SUFFIX)
        for path in here.glob(f"*.h5{suffix}")
    )
    files = []
    for path in sorted({*here.glob("*.h5"), *here.glob("*.hdf5"), *parts}):
        try:
            with open_stored(path):
                files.append(path)
        except RefusedFileError:
            continue
    return files


def stored_spec(path: str | Path) -> tuple[EncoderSpec | None, str]:
    """Return the spec of a feature file's encoder, and the request.

    The request is the encoder's name and options as text. If the file does not exist, return
    ``(None, "")``.
    """
    if not is_there(followed(location(path))):
        return None, ""
    with open_stored(path) as stored:
        return stored.spec, stored.newest.text("request")


def stored_root(path: str | Path) -> str | None:
    """Return the folder to which the paths of a feature file are relative.

    Returns
    -------
    str or None
        None if the file does not exist. Empty if the file has no root.
    """
    if not is_there(followed(location(path))):
        return None
    with open_stored(path) as stored:
        return stored.newest.text("root")


def has_no_rows(path: str | Path) -> bool:
    """Return whether a feature file exists, but holds only failures."""
    if not is_there(followed(location(path))):
        return False
    with open_stored(path) as stored:
        return not any(file.n_rows for file in stored.files)


def label_counts(
    path: str | Path, prefix: str = "", without: Set[str] = frozenset()
) -> dict[str, int]:
    """Count the labelled rows of each class in a feature file.

    If the file does not exist, the result is empty.

    Parameters
    ----------
    path : path
        The feature file.
    prefix : str
        Prefix that is added to each path of the file before the path is compared with `without`.
    without : set of str
        Paths, including the prefix, of the images whose rows are not counted.
    """
    if not is_there(followed(location(path))):
        return {}
    with open_stored(path) as stored:
        paths, files = stored.strings("paths").tolist(), stored.source_column("file").tolist()
        labels = stored.strings("labels").tolist()
        return Counter(
            label
            for name, file, label in zip(paths, files, labels, strict=True)
            if label and without.isdisjoint((prefix + name, prefix + file))
        )


def provenance(stored: Stored) -> dict[str, Any]:
    """Read the record of how a feature file was made. No code may depend on it.

    A damaged record is returned as an empty one, because it is only displayed.
    """
    return _record(stored, "provenance")


def library_versions(stored: Stored) -> dict[str, Any]:
    """Read the versions of the libraries that wrote a feature file, which are only displayed.

    A damaged record is returned as an empty one.
    """
    return _record(stored, "libraries")


def _record(stored: Stored, attribute: str) -> dict[str, Any]:
    try:
        record = json.loads(stored.newest.text(attribute))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
