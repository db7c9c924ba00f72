"""Predictions into a competition's own table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.errors import UsageError, unknown_name
from clipfeat.images.labels import match_names
from clipfeat.images.manifest import read_text_table
from clipfeat.prediction.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd

FILLS = ("auto", "probability", "class")


@dataclass(frozen=True)
class Filled:
    """A competition's template, filled.

    Parameters
    ----------
    table : DataFrame
        The template's ids, order and columns, with predictions in them.
    said : str
        What was filled into which column, for the user to check.
    missing : sequence of str
        Ids for which there is no prediction; their rows are as in the template.
    """

    table: "pd.DataFrame"
    said: str
    missing: Sequence[str]


def fill_template(predictions: Predictions, template: str | Path, fill: str = "auto") -> Filled:
    """Fill a competition's sample submission by its ids and columns.

    The first column holds ids: paths, file names or stems. Further columns named as classes get
    those classes' probabilities. A single other column gets the positive class's probability, or
    the predicted class: as a name, or as a number where the template has whole numbers.

    Parameters
    ----------
    predictions : Predictions
        What is to be filled in.
    template : path
        A CSV, TSV or Parquet file.
    fill : str
        For a single column: ``"probability"``, ``"class"``, or ``"auto"``, which takes the
        probability where the template holds a number with a decimal point.

    Raises
    ------
    UsageError
        If the template's columns are neither classes nor one column, or no id matches.
    """
    if fill not in FILLS:
        raise unknown_name("way to fill", fill, FILLS)
    table = read_text_table(str(template))
    ids = table.iloc[:, 0].tolist()
    names = [str(name) for name in table.columns[1:]]
    rows = match_names(list(predictions.paths), {name: i for i, name in enumerate(ids)})
    found = {
        row: i
        for i, row in enumerate(rows)
        if row is not None and predictions.paths[i] not in predictions.errors
    }
    if not found:
        raise UsageError(
            f"no id of {template} is among the images: ids look like {ids[:1]}, images like "
            f"{list(predictions.paths[:1])}"
        )
    p, classes = predictions.probabilities, predictions.classes
    if names and all(name in classes for name in names):
        values = {name: p[:, classes.index(name)].tolist() for name in names}
        said = f"columns {', '.join(names)}: the probability of each class"
    elif len(names) == 1:
        values, said = _single(predictions, names[0], table[names[0]].tolist(), fill)
    else:
        raise UsageError(
            f"{template} has columns {names}: expected one, or the classes {list(classes)}"
        )
    for name, column in values.items():
        filled = [
            column[found[row]] if row in found else old for row, old in enumerate(table[name])
        ]
        table[name] = filled
    return Filled(table, said, [name for row, name in enumerate(ids) if row not in found])


def _single(
    predictions: Predictions, name: str, old: Sequence[str], fill: str
) -> tuple[dict[str, list[object]], str]:
    classes = predictions.classes
    numbers = all(value.replace(".", "", 1).replace("-", "", 1).isdigit() for value in old)
    if fill == "auto":
        fill = "probability" if numbers and any("." in value for value in old) else "class"
    if fill == "probability":
        if len(classes) != 2:
            raise UsageError(
                f"column {name!r} can hold one probability and the model has {len(classes)} "
                "classes: use --fill class"
            )
        values: list[object] = list(predictions.probabilities[:, 1].tolist())
        return {name: values}, f"column {name}: the probability of {classes[1]!r}"
    if numbers and not all(name.isdecimal() for name in classes):
        code: dict[str, object] = {label: i for i, label in enumerate(classes)}
        order = ", ".join(f"{i} = {label}" for i, label in enumerate(classes))
        values = [code.get(label, "") for label in predictions.predicted]
        return {name: values}, f"column {name}: the predicted class as a number ({order})"
    return {name: list(predictions.predicted)}, f"column {name}: the predicted class"
