"""Fill a competition's sample submission with predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    """A filled sample submission.

    Parameters
    ----------
    table : DataFrame
        The template with predictions, in its own order and with its own ids and columns.
    summary : str
        The filled columns and their content, for the user to check.
    missing : sequence of str
        Ids without a prediction. Their rows are unchanged.
    """

    table: "pd.DataFrame"
    summary: str
    missing: Sequence[str]


@dataclass(frozen=True)
class Template:
    """A sample submission of a competition.

    The first column contains ids: paths, file names or stems. If the other columns are named after
    classes, they get the probabilities of these classes. A single other column gets the probability
    of the positive class or the predicted class. The class is written as a name, or as a number if
    the template contains whole numbers.

    Parameters
    ----------
    path : path
        A CSV, TSV or Parquet file.
    fill : str
        Content of a single column: ``"probability"``, ``"class"``, or ``"auto"``, which is the
        probability if the template contains a number with a decimal point.

    Raises
    ------
    UnknownNameError
        If `fill` is unknown.
    RefusedFileError
        If the file is not a table.
    """

    path: str | Path
    fill: str = "auto"
    table: "pd.DataFrame" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise unknown_name("way to fill", self.fill, FILLS)
        object.__setattr__(self, "table", read_text_table(str(self.path)))


def fill_template(predictions: Predictions, template: Template) -> Filled:
    """Fill a competition's sample submission by its ids and columns.

    Parameters
    ----------
    predictions : Predictions
        The predictions.
    template : Template
        The sample submission. It is not changed.

    Returns
    -------
    Filled
        The filled table and a summary.

    Raises
    ------
    UsageError
        If the columns are neither classes nor a single column, if no id matches, or if one column
        cannot hold the probabilities of more than two classes.
    """
    table = template.table.copy()
    ids = table.iloc[:, 0].tolist()
    names = [str(name) for name in table.columns[1:]]
    rows = match_names(list(predictions.paths), {name: i for i, name in enumerate(ids)})
    image_of_row = {
        row: i
        for i, row in enumerate(rows)
        if row is not None and predictions.paths[i] not in predictions.errors
    }
    if not image_of_row:
        raise UsageError(
            f"no id of {template.path} matches an image: ids are like {ids[:1]}, images like "
            f"{list(predictions.paths[:1])}. Predict the images of the competition's test set"
        )
    p, classes = predictions.probabilities, predictions.classes
    if names and all(name in classes for name in names):
        values = {name: p[:, classes.index(name)].tolist() for name in names}
        summary = f"columns {', '.join(names)}: probability of each class"
    elif len(names) == 1:
        values, summary = _single(predictions, names[0], table[names[0]].tolist(), template.fill)
    else:
        raise UsageError(
            f"{template.path} has the columns {', '.join(names) or 'none'} besides the ids. Pass a "
            f"template with one column, or with the classes {', '.join(classes)}"
        )
    for name, column in values.items():
        filled = [
            column[image_of_row[row]] if row in image_of_row else old
            for row, old in enumerate(table[name])
        ]
        table[name] = filled
    return Filled(table, summary, [name for row, name in enumerate(ids) if row not in image_of_row])


def _single(
    predictions: Predictions, name: str, old: Sequence[str], fill: str
) -> tuple[dict[str, list[object]], str]:
    """Compute the values of a template's single column, and their summary."""
    classes = predictions.classes
    numbers = all(value.replace(".", "", 1).replace("-", "", 1).isdigit() for value in old)
    if fill == "auto":
        fill = "probability" if numbers and any("." in value for value in old) else "class"
    if fill == "probability":
        if len(classes) != 2:
            raise UsageError(
                f"column {name!r} holds one probability, but the model has {len(classes)} classes. "
                "Use --fill class"
            )
        values: list[object] = list(predictions.probabilities[:, 1].tolist())
        return {name: values}, f"column {name}: probability of {classes[1]!r}"
    if numbers and not all(name.isdecimal() for name in classes):
        code: dict[str, object] = {label: i for i, label in enumerate(classes)}
        order = ", ".join(f"{i} = {label}" for i, label in enumerate(classes))
        values = [code.get(label, "") for label in predictions.predicted]
        return {name: values}, f"column {name}: predicted class as a number ({order})"
    return {name: list(predictions.predicted)}, f"column {name}: predicted class"
