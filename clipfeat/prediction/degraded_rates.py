"""Rates of a model by source and generator, on original and degraded images."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.rates import RateTable, column_values, rates
from clipfeat.features import FeatureSet
from clipfeat.prediction.predictions import Predictions


def columns_of_files(features: FeatureSet, paths: NDArray[np.str_]) -> dict[str, NDArray[np.str_]]:
    """Return the columns and the groups of each file, which are those of its first row."""
    first = {path: row for row, path in reversed(list(enumerate(features.files.tolist())))}
    rows = np.array([first[path] for path in paths.tolist()], dtype=np.int64)
    columns = dict(features.columns)
    if features.groups is not None:
        columns["group"] = features.groups
    return {name: values[rows] for name, values in columns.items()}


def degraded_rates(
    predictions: Mapping[str, Predictions],
    columns: Mapping[str, NDArray[np.str_]],
    by: str | None = None,
) -> RateTable | None:
    """Compute the rates of a model for each kind of degraded images.

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
        None if `by` is not given and there is no usual column with two or more values in one class.

    Raises
    ------
    UnknownNameError
        If a column is unknown.
    """
    one = next(iter(predictions.values()))
    scored, y = one.scored, one.true
    known = {name: values for name, values in columns.items() if name != "group"}
    groups = columns.get("group")
    found = column_values(by, known, groups, y[scored], scored)
    if found is None:
        return None
    column, values = found
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
