"""Exporting a feature file to Parquet, NumPy's npz or CSV, with one row for each image."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import OutputExistsError, unknown_name
from clipfeat.store.format import KEY_BYTES
from clipfeat.store.reading import Stored, open_stored
from clipfeat.system.escaping import spreadsheet_csv
from clipfeat.system.files import is_taken, replacing, storage_errors
from clipfeat.system.locations import is_remote, location
from clipfeat.system.optional_libraries import require
from clipfeat.system.progress import Phase, Report, reporting

Columns = Mapping[str, NDArray[Any]]


def export(
    path: str | Path, out: str | Path, *, overwrite: bool = False, progress: bool | Report = True
) -> int:
    """Write the rows of a feature file in a format that other tools read.

    Features are copied in blocks, so they need not fit in memory.

    Parameters
    ----------
    path : path
        The feature file.
    out : path
        The output file. Its suffix selects the format. A ``.parquet`` file has the columns path,
        key, label, group and split, the source's columns, the image and file sizes, the format, and
        ``features`` as a list of fixed size. A ``.npz`` file has one array for each dataset of the
        feature file, with class names as labels, and loads without pickle. A ``.csv`` file has the
        same columns as a ``.parquet`` file, but one column for each feature.
    overwrite : bool
        Replace an existing file.
    progress : bool or callable
        Show the current phase on standard error. A callable is called with each
        `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    int
        Number of rows written.

    Raises
    ------
    UnknownNameError
        If the suffix of `out` is not ``.parquet``, ``.npz`` or ``.csv``.
    OutputExistsError
        If `out` exists and `overwrite` is false.
    RefusedFileError
        If the feature file is missing or damaged.
    StorageError
        If the disk failed. `out` is then unchanged.
    """
    target = location(out)
    if target.suffix.lower() not in EXPORTERS:
        raise unknown_name("export format", target.suffix, EXPORTERS)
    if target.suffix.lower() == ".parquet":
        require("pyarrow", f"writing {target}")
    with storage_errors(f"looking for {target}"):
        in_use = is_taken(target)
    if in_use and not overwrite:
        raise OutputExistsError(
            f"{target} already exists. Pass another path with -o, or add --overwrite."
        )
    with reporting(progress) as report, open_stored(path) as stored:
        stored.spec.warn_if_untrained(path)
        if not is_remote(target):
            with storage_errors(f"creating {target.parent}"):
                target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            EXPORTERS[target.suffix.lower()](stored, temporary, report)
        return stored.n_rows


def _write_parquet(stored: Stored, path: Path, report: Report) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    width = stored.spec.n_features
    columns = _columns(stored)
    kind = pa.list_(pa.from_numpy_dtype(stored.files[0].dtype), width)
    fields = [(name, pa.array(values[:0]).type) for name, values in columns.items()]
    about = {
        "clipfeat.encoder": stored.spec.to_json(),
        "clipfeat.fingerprint": stored.spec.fingerprint,
    }
    schema = pa.schema([*fields, ("features", kind)], metadata=about)
    with pq.ParquetWriter(path, schema) as writer:
        for some, features in _chunks(stored, columns, report):
            lists = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), width)
            arrays = [pa.array(values) for values in some.values()]
            writer.write_table(pa.Table.from_arrays([*arrays, lists], schema=schema))


def _write_npz(stored: Stored, path: Path, report: Report) -> None:
    arrays = {
        "paths": stored.strings("paths"),
        "keys": _hexadecimal(stored),
        "labels": stored.strings("labels"),
        "groups": stored.strings("groups"),
        "split": stored.strings("split"),
        "image_size": stored.column("image_size"),
        "file_size": stored.column("file_size"),
        "format": stored.strings("format"),
        **{f"columns/{name}": stored.source_column(name) for name in stored.column_names},
        "encoder": np.array(stored.spec.to_json()),
        "fingerprint": np.array(stored.spec.fingerprint),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values, allow_pickle=False)
        with archive.open("features.npy", "w", force_zip64=True) as file:
            dtype = stored.files[0].dtype
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (stored.n_rows, stored.spec.n_features),
            }
            np.lib.format.write_array_header_1_0(file, header)
            for features in _features(stored, report):
                file.write(np.ascontiguousarray(features).tobytes())


def _write_csv(stored: Stored, path: Path, report: Report) -> None:
    import pandas as pd

    names = [f"{stored.spec.name}.{i}" for i in range(stored.spec.n_features)]
    columns = _columns(stored)
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(spreadsheet_csv(pd.DataFrame(columns=[*columns, *names])))
        for some, features in _chunks(stored, columns, report):
            about, values = pd.DataFrame(some), pd.DataFrame(features, columns=names)
            _header, _, rows = spreadsheet_csv(pd.concat([about, values], axis=1)).partition("\n")
            file.write(rows)


EXPORTERS: dict[str, Callable[[Stored, Path, Report], None]] = {
    ".parquet": _write_parquet,
    ".npz": _write_npz,
    ".csv": _write_csv,
}
"""Map the suffix of each format to the function that writes it."""


def _columns(stored: Stored) -> Columns:
    """Return all metadata of the current rows."""
    sizes = stored.column("image_size")
    own = {
        "path": stored.strings("paths"),
        "key": _hexadecimal(stored),
        "label": stored.strings("labels"),
        "group": stored.strings("groups"),
        "split": stored.strings("split"),
    }
    more = {
        "height": sizes[:, 0],
        "width": sizes[:, 1],
        "file_size": stored.column("file_size"),
        "format": stored.strings("format"),
    }
    names = [name for name in stored.column_names if name != "features"]
    source = {name: stored.source_column(name) for name in names}
    # The first `own` sets the order of the columns. If the source has a column with the name of one
    # of these columns, the last `own` restores the value.
    return {**own, **source, **more, **own}


def _features(stored: Stored, report: Report) -> Iterator[NDArray[np.floating]]:
    """Yield the features in blocks of a few thousand rows, and report each block."""
    n_done = 0
    for features in stored.features():
        n_done += len(features)
        report(Phase("exporting", n_done, stored.n_rows, "rows"))
        yield features


def _chunks(
    stored: Stored, columns: Columns, report: Report
) -> Iterator[tuple[Columns, NDArray[np.floating]]]:
    """Yield the columns and features in blocks of a few thousand rows."""
    start = 0
    for features in _features(stored, report):
        here = slice(start, start + len(features))
        start += len(features)
        yield {name: values[here] for name, values in columns.items()}, features


def _hexadecimal(stored: Stored) -> NDArray[np.str_]:
    digits = stored.column("keys").tobytes().hex()
    return np.array([digits[i : i + 2 * KEY_BYTES] for i in range(0, len(digits), 2 * KEY_BYTES)],
                    dtype=f"U{2 * KEY_BYTES}")  # fmt: skip
