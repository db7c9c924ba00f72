"""Checks of the files of a run, which may be damaged or come from a stranger.

A field that ``run.json`` lacks is not checked, because the readers of a run have defaults for it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.spec import MAX_TEXT
from clipfeat.system.files import MAX_RATIO, MAX_UNPACKED, check_regular
from clipfeat.system.optional_libraries import require

Check = Callable[[Any], bool]
MAX_ROWS = 500_000
"""Maximum number of tidy rows. Thirty entries with a thousand folds and fifteen metrics give fewer
rows."""
_ROW_TEXTS = ("encoder", "classifier", "trained_on", "fold", "tested_on", "metric")
_ROW_NUMBERS = ("seed", "n_train", "value", "seconds")


def check_run_record(described: Mapping[str, Any]) -> None:
    """Check the content of ``run.json``.

    Parameters
    ----------
    described : mapping
        The parsed file.

    Raises
    ------
    KeyError
        If ``about``, ``trials`` or the classes are missing.
    TypeError
        If a value has another type than the readers of a run expect.
    """
    about, trials = described["about"], described["trials"]
    if not _is_mapping(about) or not isinstance(trials, list) or not trials:
        raise TypeError("about is not an object, or trials is not a list of trials")
    if len(about["classes"]) < 2:
        raise TypeError(f"expected at least two classes, got {len(about['classes'])}")
    _check_fields(about, _ABOUT)
    for trial in trials:
        _check_fields(trial, _TRIAL)
    for flag, name in (("shared", "column"), ("balanced_by_default", "balance")):
        if about.get(flag):
            about[name]  # a remark needs it


def check_run_arrays(described: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check the types and the shapes of the arrays in ``probabilities.npz``.

    Parameters
    ----------
    described : mapping
        The content of ``run.json``, checked by `check_run_record`.
    arrays : mapping of str to ndarray
        The arrays.

    Raises
    ------
    KeyError
        If an array is missing.
    ValueError
        If an array has another type or shape, or if a class does not exist.
    """
    n, n_classes = arrays["y"].size, len(described["about"]["classes"])
    row_arrays = {"y": "i", "paths": "U", "files": "U", "keys": "S"}
    row_arrays |= {name: "U" for name in arrays if name == "groups" or name.startswith("column/")}
    expected: dict[str, tuple[str, tuple[int, ...]]]
    expected = {name: (kind, (n,)) for name, kind in row_arrays.items()}
    for number, trial in enumerate(described["trials"]):
        expected[f"fold/{number}"] = "i", (n,)
        expected |= {f"p/{number}/{entry}": ("f", (n, n_classes)) for entry in trial["entries"]}
        expected |= {f"tested_on/{number}/{part}": ("b", (n,)) for part in trial["tested_on"]}
    for name, (kind, shape) in expected.items():
        array = arrays[name]
        if array.dtype.kind != kind or array.shape != shape:
            raise ValueError(
                f"{name} has the type {array.dtype} and the shape {array.shape}, expected the "
                f"kind {kind!r} and the shape {shape}"
            )
    y = arrays["y"]
    if n and not -1 <= y.min() <= y.max() < n_classes:
        raise ValueError(
            f"y has classes from {y.min()} to {y.max()}, expected -1 to {n_classes - 1}"
        )


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Read the tidy rows of a run in ``scores.parquet``, and check their number and types.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    RefusedFileError
        If the path is not a regular file.
    KeyError
        If a column is missing.
    ValueError
        If the file is damaged or too large, or if a column has another type.
    """
    require("pyarrow", f"reading {file}")
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    size = check_regular(file).st_size
    # As a dictionary, a text that is repeated is stored once.
    parquet = pq.ParquetFile(file, read_dictionary=[*_ROW_TEXTS])
    about = parquet.metadata
    n_bytes = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    if about.num_rows > MAX_ROWS or n_bytes > max(MAX_UNPACKED, MAX_RATIO * size):
        raise ValueError(f"{size} bytes would unpack to {about.num_rows} rows, {n_bytes} bytes")
    schema = parquet.schema_arrow
    for name in (*_ROW_TEXTS, *_ROW_NUMBERS):
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        is_right = is_text if name in _ROW_TEXTS else is_number
        if not is_right and not pa.types.is_null(kind):
            expected = "text" if name in _ROW_TEXTS else "number"
            raise ValueError(f"the column {name} has the type {kind}, expected {expected}")
    table = parquet.read(columns=[*_ROW_TEXTS, *_ROW_NUMBERS])
    for name in ("classifier", "metric"):
        if table.column(name).null_count:
            raise ValueError(f"the column {name} has missing values")
    for chunk in (chunk for name in _ROW_TEXTS for chunk in table.column(name).chunks):
        if pa.types.is_dictionary(chunk.type):
            longest = pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0
            if longest > MAX_TEXT:
                raise ValueError(f"a text has {longest} bytes, expected at most {MAX_TEXT}")
    values = table.to_pandas(ignore_metadata=True)
    rows = [dict(zip(values.columns, row, strict=True)) for row in values.itertuples(index=False)]
    for row in rows:
        row["value"] = np.nan if row["value"] is None else row["value"]
        count = row["n_train"]
        row["n_train"] = None if count is None or np.isnan(count) else int(count)
    return rows


def _check_fields(values: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    for name, is_right in checks.items():
        if name in values and not is_right(values[name]):
            raise TypeError(f"{name} is {str(values[name])[:40]!r}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    """Return whether a value is a text that UTF-8 can encode. JSON may have lone surrogates."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _mapping_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _with_fields(**checks: Check) -> Check:
    """Return a function that checks whether an object has all of these fields."""
    return lambda value: (
        isinstance(value, dict)
        and checks.keys() <= value.keys()
        and all(check(value[name]) for name, check in checks.items())
    )


def _is_near_duplicates(value: Any) -> bool:
    has_counts = _with_fields(searched=_is_count, separated=_is_count)
    return not value or (has_counts(value) and value["separated"] <= value["searched"])


_ABOUT: Mapping[str, Check] = {
    "acceleration": _is_mapping,
    "caveats": _list_of(_is_text),
    "classes": _list_of(_is_name),
    "column": _is_text,
    "data_fingerprint": _optional(_is_text),
    "errors": _mapping_of(_is_text),
    "groups": _optional(_is_count),
    "images": _is_count,
    "near_duplicates": _is_near_duplicates,
    "options": _is_mapping,
    "per_class": _optional(_mapping_of(_is_count)),
    "scores": _mapping_of(_with_fields(scaled=_is_number)),
    "seconds": _optional(_is_number),
    "shared": _is_count,
    "threshold_by": _optional(_is_text),
    "tuned": _mapping_of(
        _mapping_of(
            _with_fields(params=_mapping_of(_is_number), tried=_is_count, out_of_time=_is_number)
        )
    ),
    "uncalibrated": _mapping_of(_is_number),
    "unlabelled": _optional(_is_count),
    "validation": _optional(_with_fields(scores=_mapping_of(_mapping_of(_is_number)))),
    "versions": _is_mapping,
    "votes": _mapping_of(_mapping_of(_list_of(_is_number))),
}
_TRIAL: Mapping[str, Check] = {
    "entries": _list_of(_is_name),
    "folds": _list_of(_is_text),
    "n_train": _optional(_is_count),
    "tested_on": _list_of(_is_text),
    "thresholds": _mapping_of(_list_of(_is_number)),
    "trained_on": _is_text,
}
