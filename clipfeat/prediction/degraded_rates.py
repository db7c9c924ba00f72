"""Rates of a model by source and generator, on original and degraded images."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.rates import RateTable, column_values, named_columns, rates
from clipfeat.features.column_names import OWN_COLUMNS
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource
from clipfeat.prediction.predictions import Predictions


def columns_of_files(images: ImageSource, paths: NDArray[np.str_]) -> dict[str, NDArray[np.str_]]:
    """Return the columns of files, and their groups as the column ``group``.

    Parameters
    ----------
    images : ImageSource
        The images and video frames.
    paths : ndarray of shape (n_files,), str
        Paths of files of the source.

    Returns
    -------
    dict of str to ndarray of shape (n_files,)
        Values of each column. The values of a video are those of its first frame. ``group`` is
        missing if no image has a group.
    """
    first: dict[str, ImageRecord] = {}
    for record in images:
        first.setdefault(dict(record.columns).get("file", record.path), record)
    records = [first[path] for path in paths.tolist()]
    own = [dict(record.columns) for record in records]
    columns = {
        name: np.array([values.get(name, "") for values in own], dtype=np.str_)
        for name in _column_names(images)
    }
    if any(record.group for record in images):
        columns["group"] = np.array([record.group for record in records], dtype=np.str_)
    return columns


def check_rate_column(images: ImageSource, by: str | None) -> None:
    """Check that a source has the columns of a table of rates, before its images are encoded.

    Raises
    ------
    UnknownNameError
        If a column is unknown. The message lists the columns of the source.
    """
    if by is None:
        return
    none = np.empty(0, dtype=np.str_)
    groups = none if any(record.group for record in images) else None
    named_columns(by, dict.fromkeys(_column_names(images), none), groups)


def _column_names(images: ImageSource) -> list[str]:
    return sorted({name for record in images for name, _ in record.columns} - {*OWN_COLUMNS})


def degraded_rates(
    predictions: Mapping[str, Predictions],
    columns: Mapping[str, NDArray[np.str_]],
    by: str | None = None,
) -> RateTable | None:
    """Compute the rates of a model for the original images and for each degradation and strength.

    Parameters
    ----------
    predictions : mapping of str to Predictions
        Predictions of the same files, by the name of the degradation and its strength.
    columns : mapping of str to ndarray of shape (n_files,)
        Columns and groups of the files.
    by : str, optional
        As in `clipfeat.evaluate.rates.rate_table`.

    Returns
    -------
    RateTable or None
        None if `by` is not given, and no default column has two or more values in one class.

    Raises
    ------
    UnknownNameError
        If a column is unknown.
    """
    one = next(iter(predictions.values()))
    scored, y = one.scored, one.true
    known = {name: values for name, values in columns.items() if name != "group"}
    groups = columns.get("group")
    breakdown = column_values(by, known, groups, y[scored], scored)
    if breakdown is None:
        return None
    column, values = breakdown
    paths = np.array(one.paths, dtype=np.str_)
    units = paths if groups is None else np.where(groups == "", paths, groups)
    entries = {}
    for name, of_state in predictions.items():
        correct = np.array(of_state.predicted) == np.array(of_state.labels)
        entries[name] = rates(
            correct[scored].astype(np.float64), y[scored], one.classes, values, units[scored]
        )
    threshold = "the most probable class"
    if len(one.classes) == 2:
        threshold = f"threshold {0.5 if one.threshold is None else one.threshold:.3g}"
    if one.threshold is not None:
        threshold += " of the model"
    thresholds = dict.fromkeys(entries, threshold)
    return RateTable(column, one.classes, entries, thresholds, groups is not None, "images")
