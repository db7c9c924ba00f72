"""Fill a competition's sample submission with predictions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipfeat.errors import UsageError, unknown_name
from clipfeat.features.classes import positive_last
from clipfeat.features.label_text import present
from clipfeat.features.pairing import how_to_pair, pair_names
from clipfeat.features.usual_names import PATH_NAMES, plain_name
from clipfeat.images.manifest import read_text_table
from clipfeat.prediction.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd

FILLS = ("auto", "probability", "class")
"""Allowed values of `Template.fill`."""

_ABOUT = frozenset(
    ["is", "label", "p", "pred", "predicted", "prediction", "prob", "proba", "probability", "score"]
)
"""Words that a column may have beside the name of a class, as in ``is_fake``."""


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

    The first column with a usual name, such as ``id``, holds the ids of the images. If no column
    has such a name, the first column holds the ids. `clipfeat.features.pairing` states how ids are
    paired with images. The other columns are filled as follows:

    - A column named after a class, such as ``fake`` or ``is_fake``, gets the probability of this
      class. With `fill` ``"class"``, it gets 1 or True if this class was predicted. With
      ``"auto"``, it is filled like ``"class"`` if the template's values in this column are True
      and False, or if its name is like ``is_fake`` and it holds whole numbers.
    - A single column with any other name gets the probability of the positive class or the
      predicted class. The class is written in the form of the template's values: as a name, as a
      number, or as True or False.
    - If there are two columns, and the template's values in one of them are names of classes, the
      other column gets the probability of the class that is named in the same row.

    Parameters
    ----------
    path : path
        The sample submission, a CSV, TSV or Parquet file.
    fill : {"auto", "probability", "class"}
        Content of the columns. With ``"auto"``, the content of a single column depends on the
        template's values. The column gets the class if these values are whole numbers, truth values
        or names. It gets the probability if they are other numbers, percentages or empty.

    Raises
    ------
    UnknownNameError
        If `fill` is unknown.
    RefusedFileError
        If the file is not a table.
    UsageError
        If the table has no rows.
    """

    path: str | Path
    fill: str = "auto"
    table: "pd.DataFrame" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise unknown_name("way to fill", self.fill, FILLS)
        table = read_text_table(str(self.path))
        if not len(table):
            raise UsageError(
                f"the template {self.path} has no rows. Pass the sample submission with all its ids"
            )
        object.__setattr__(self, "table", table)


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
    DataError
        If an id is the name of several images.
    UsageError
        If no id matches an image. If there are several columns that are not named after classes. If
        the template has a single column for a probability, but the model does not have two classes.
    """
    table = template.table.copy()
    named = [str(name) for name in table.columns if not re.fullmatch(r"Unnamed: \d+", str(name))]
    id_column = next((name for name in named if plain_name(name) in PATH_NAMES), named[0])
    names = [name for name in named if name != id_column]
    ids = table[id_column].tolist()
    of_path = {path: i for i, path in reversed(list(enumerate(predictions.paths)))}
    places = list(of_path.values())
    pairs = pair_names(ids, list(of_path), str(template.path))
    readable = ~np.isnan(predictions.probabilities[:, 0])
    images = {
        row: places[pair]
        for row, pair in enumerate(pairs)
        if pair is not None and readable[places[pair]]
    }
    if not images:
        remedy = how_to_pair(ids[0], predictions.paths)
        raise UsageError(
            f"no id of {template.path} matches an image. Its first id is "
            f"{ids[0]!r}, and the first image is "
            f"{next(iter(predictions.paths), 'missing')!r}. "
            f"{remedy or 'Predict the images of the competition test set'}"
        )
    values, summary = _columns(predictions, template, names, images)
    for name, column in values.items():
        cells: list[Any] = [column.get(row, old) for row, old in enumerate(table[name])]
        table[name] = cells
    table = table.rename(columns={name: "" for name in table.columns if name not in named})
    return Filled(table, summary, [name for row, name in enumerate(ids) if row not in images])


Cells = dict[int, object]
"""Values of a column, by row of the template."""


def _columns(
    predictions: Predictions, template: Template, names: Sequence[str], images: Mapping[int, int]
) -> tuple[dict[str, Cells], str]:
    """Compute the values of the template's columns, and their summary."""
    table, classes = template.table, predictions.classes
    of_name = {name: _class_of(name, classes) for name in names}
    if names and all(of_name.values()):
        filled = {
            name: _of_class(predictions, name, str(of_name[name]), table[name].tolist(),
                            template.fill)
            for name in names
        }  # fmt: skip
    elif len(names) == 1:
        filled = {names[0]: _single(predictions, table[names[0]].tolist(), template.fill)}
    elif len(names) == 2 and (of_row := _class_column(template, names, classes)) is not None:
        (name,) = set(names) - {of_row}
        p = predictions.probabilities
        columns = [classes.index(value) for value in table[of_row]]
        cells: Cells = {row: float(p[image, columns[row]]) for row, image in images.items()}
        return {name: cells}, f"column {name}: probability of the class in column {of_row}"
    else:
        raise UsageError(
            f"{template.path} must have one column after the ids, or columns named after classes "
            f"({', '.join(classes)}), but its columns are {', '.join(names) or 'only the ids'}. "
            "Pass another template"
        )
    values: dict[str, Cells] = {
        name: {row: column[image] for row, image in images.items()}
        for name, (column, _) in filled.items()
    }
    return values, "; ".join(f"column {name}: {text}" for name, (_, text) in filled.items())


def _class_of(column: str, classes: Sequence[str]) -> str | None:
    """Return the class that a column is named after.

    Examples
    --------
    >>> _class_of("Fake", ["real", "fake"]), _class_of("is_real", ["real", "fake"])
    ('fake', 'real')
    >>> _class_of("target", ["real", "fake"]) is None
    True
    """
    if column in classes:
        return column
    plain = {plain_name(name): name for name in classes}
    words = [word for word in re.split(r"[\s_-]+", column.casefold()) if word]
    named = "".join(word for word in words if word not in _ABOUT)
    return plain.get(plain_name(column)) or plain.get(named)


def _class_column(template: Template, names: Sequence[str], classes: Sequence[str]) -> str | None:
    """Return the column whose values are all names of classes."""
    values = {name: set(template.table[name]) for name in names}
    return next((name for name in names if len(values[name]) > 1 and values[name] <= set(classes)),
                None)  # fmt: skip


def _filler(values: Iterable[str]) -> str:
    """Return the kind of a column's values.

    Returns
    -------
    {"blank", "truth", "whole", "percent", "number", "text"}
        ``"number"`` if any value has a decimal point or an exponent.

    Examples
    --------
    >>> _filler(["5e-1", "0"]), _filler(["50%"]), _filler(["nan", ""]), _filler(["False"])
    ('number', 'percent', 'blank', 'truth')
    """
    known = {value for value in map(present, values) if value}
    if not known:
        return "blank"
    if {value.lower() for value in known} <= {"true", "false"}:
        return "truth"
    if all(re.fullmatch(r"[+-]?\d+", value) for value in known):
        return "whole"
    try:
        _ = [float(value.removesuffix("%")) for value in known]
    except ValueError:
        return "text"
    return "percent" if any("%" in value for value in known) else "number"


def _of_class(
    predictions: Predictions, column: str, name: str, old: Sequence[str], fill: str
) -> tuple[list[object], str]:
    """Compute the values of a column that is named after a class."""
    kind = _filler(old)
    is_flag = kind in {"truth", "whole"} and plain_name(column) != plain_name(name)
    if fill == "class" or (fill == "auto" and (is_flag or kind == "truth")):
        return _flags(predictions, name, old)
    return _probability(predictions, name, kind)


def _single(predictions: Predictions, old: Sequence[str], fill: str) -> tuple[list[object], str]:
    """Compute the values of a template's single column."""
    classes, positive = predictions.classes, predictions.positive
    kind = _filler(old)
    if fill == "auto":
        is_class = kind in {"truth", "whole", "text"} or (kind == "blank" and positive is None)
        fill = "class" if is_class else "probability"
    if fill == "probability":
        if positive is None:
            raise UsageError(
                f"one column can hold only one probability, but the model has {len(classes)} "
                "classes. Use --fill class"
            )
        values, text = _probability(predictions, positive, kind)
        return values, f"{text}, the positive class"
    if kind == "truth" and positive is not None:
        return _flags(predictions, positive, old)
    if kind in {"whole", "number", "percent"} and not all(name.isdecimal() for name in classes):
        numbered = classes if positive is None else positive_last(classes, positive)
        code: dict[str, object] = {label: i for i, label in enumerate(numbered)}
        order = ", ".join(f"{i} = {label}" for i, label in enumerate(numbered))
        codes = [code.get(label, "") for label in predictions.predicted]
        return codes, f"predicted class as a number ({order})"
    return list(predictions.predicted), "predicted class"


def _probability(predictions: Predictions, name: str, kind: str) -> tuple[list[object], str]:
    p = predictions.probabilities[:, predictions.classes.index(name)].tolist()
    if kind == "percent":
        return [f"{100 * value}%" for value in p], f"probability of {name!r} in percent"
    return p, f"probability of {name!r}"


def _flags(predictions: Predictions, name: str, old: Sequence[str]) -> tuple[list[object], str]:
    """Return for each image whether a class was predicted, in the form of the template's values."""
    known = {value for value in map(present, old) if value}
    pairs = (("True", "False"), ("true", "false"), ("TRUE", "FALSE"))
    yes, no = next((pair for pair in pairs if known and known <= set(pair)), ("1", "0"))
    flags: list[object] = [yes if label == name else no for label in predictions.predicted]
    return flags, f"{yes} if the predicted class is {name!r}, else {no}"
