"""Fill a competition's sample submission with predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.errors import UsageError, unknown_name
from clipfeat.features.classes import positive_last
from clipfeat.images.labels import match_names
from clipfeat.images.manifest import read_text_table
from clipfeat.prediction.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd

FILLS = ("auto", "probability", "class")
"""Values of `Template.fill`."""


@dataclass(frozen=True)
class Filled:
    """A filled sample submission.

    Parameters
    ----------
    table : DataFrame
        The template with predictions. The order of the rows, the ids and the columns are unchanged.
    summary : str
        Description of the filled columns and their content.
    missing : sequence of str
        Ids of the template that have no prediction. Their rows are unchanged.
    """

    table: "pd.DataFrame"
    summary: str
    missing: Sequence[str]


@dataclass(frozen=True)
class Template:
    """A sample submission of a competition.

    The first column holds the ids of the images: paths, file names, or file names without
    extension. If the other columns are named after classes, they get the probabilities of these
    classes. If there is one other column with another name, it gets either the probability of the
    positive class or the predicted class. The class is written as a name, or as a number if the
    template contains numbers.

    Parameters
    ----------
    path : path
        The sample submission, a CSV, TSV or Parquet file.
    fill : {"auto", "probability", "class"}
        Content of the single column. ``"auto"`` fills in the probability if the template contains a
        number with a decimal point, else the class.

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
    """Fill a competition's sample submission with predictions.

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
        If no id matches an image. If there are several columns that are not named after classes. If
        `fill` asks for the probability in a single column, but the model does not have two classes.
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
            f"no id of {template.path} matches an image. Its first id is "
            f"{next(iter(ids), 'missing')!r}, and the first image is "
            f"{next(iter(predictions.paths), 'missing')!r}. Predict the images of the "
            "competition's test set"
        )
    p, classes = predictions.probabilities, predictions.classes
    if names and all(name in classes for name in names):
        values = {name: p[:, classes.index(name)].tolist() for name in names}
        summary = f"columns {', '.join(names)}: probability of each class"
    elif len(names) == 1:
        values, summary = _single(predictions, names[0], table[names[0]].tolist(), template.fill)
    else:
        raise UsageError(
            f"{template.path} must have one column after the ids, or columns named after classes "
            f"({', '.join(classes)}), but its columns are {', '.join(names) or 'only the ids'}. "
            "Pass another template"
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
    classes, positive = predictions.classes, predictions.positive
    numbers = all(value.replace(".", "", 1).replace("-", "", 1).isdigit() for value in old)
    if fill == "auto":
        fill = "probability" if numbers and any("." in value for value in old) else "class"
    if fill == "probability":
        if positive is None:
            raise UsageError(
                f"column {name!r} can hold only one probability, but the model has {len(classes)} "
                "classes. Use --fill class"
            )
        values: list[object] = predictions.probabilities[:, classes.index(positive)].tolist()
        return {name: values}, f"column {name}: probability of {positive!r}, the positive class"
    if numbers and not all(name.isdecimal() for name in classes):
        numbered = classes if positive is None else positive_last(classes, positive)
        code: dict[str, object] = {label: i for i, label in enumerate(numbered)}
        order = ", ".join(f"{i} = {label}" for i, label in enumerate(numbered))
        values = [code.get(label, "") for label in predictions.predicted]
        return {name: values}, f"column {name}: predicted class as a number ({order})"
    return {name: list(predictions.predicted)}, f"column {name}: predicted class"
