"""False positive rate of each source and recall of each generator, at one threshold.

A mean over sources hides a source that is always misclassified. The table of these rates has one
row for each class and each value of a column, for example for each generator. The table of a
`Matrix` has such rows for each value that was trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import unknown_name
from clipfeat.evaluate.intervals import share_interval
from clipfeat.evaluate.metrics import Values, decide
from clipfeat.evaluate.validation import where_chosen
from clipfeat.features.classes import positive_class, positive_title
from clipfeat.features.column_names import find_column

if TYPE_CHECKING:
    import pandas as pd

    from clipfeat.evaluate.result import Benchmark, Outcome

FALSE_POSITIVES, RECALL = "false positive rate", "recall"
GENERATOR_COLUMNS = ("generator", "source")
"""Default columns of the table. If the first column is empty in a row, the second one is used. The
user or the protocol may name other columns."""
NO_VALUE = "(none)"


@dataclass(frozen=True)
class Rate:
    """Rate of one class and one value of a column.

    Parameters
    ----------
    value, label : str
        Value of the column, and name of the class.
    kind : str
        `FALSE_POSITIVES` for the negative class, if there are two classes. Otherwise `RECALL`.
    rate, low, high : float
        Rate, and the ends of its 95 % interval.
    n_images, n_units : int
        Numbers of images, and of groups if there are groups.
    trained_on : str
        For a `Matrix`, the value of its column in the training images. Else empty.
    """

    value: str
    label: str
    kind: str
    rate: float
    low: float
    high: float
    n_images: int
    n_units: int
    trained_on: str = ""

    @property
    def interval(self) -> str:
        """The interval as text, such as ``0.120 to 0.194``."""
        return "–" if np.isnan(self.low) else f"{self.low:.3f} to {self.high:.3f}"


def rates(
    shares: Values,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    values: NDArray[np.str_],
    units: NDArray[np.str_],
) -> list[Rate]:
    """Compute the rate of each class and value.

    Parameters
    ----------
    shares : ndarray of shape (n_files,)
        For each file, 1 if its predicted class is correct, else 0. For several trials, the share
        of the trials in which the predicted class is correct.
    labels : ndarray of shape (n_files,), int
        True class indices.
    classes : sequence of str
        Names of the classes. The last of two classes is the positive class.
    values, units : ndarray of shape (n_files,), str
        Value and group of each file. A file without a group is its own group.

    Returns
    -------
    list of Rate
        Ordered by class, then by value.
    """
    table = []
    for code, label in enumerate(classes):
        negative = code == 0 and len(classes) == 2
        for value in np.unique(values[labels == code]).tolist():
            here = (labels == code) & (values == value)
            hits = 1 - shares[here] if negative else shares[here]
            rate, low, high = share_interval(hits, units[here])
            kind = FALSE_POSITIVES if negative else RECALL
            n_units = len(np.unique(units[here]))
            table.append(Rate(value, label, kind, rate, low, high, int(here.sum()), n_units))
    return table


@dataclass(frozen=True, eq=False)
class RateTable:
    """Rates of every entry: a classifier or a vote of a run, or a kind of degraded images.

    Parameters
    ----------
    column : str
        Name of the column.
    classes : sequence of str
        Names of the classes. The last of two classes is the positive class.
    entries : mapping of str to sequence of Rate
        Rates by entry.
    thresholds : mapping of str to str
        For each entry, a description of its threshold.
    grouped : bool
        Whether the intervals account for groups.
    kind : str
        Kind of the entries. It is the heading of their column in `to_pandas`.
    """

    column: str
    classes: Sequence[str]
    entries: Mapping[str, Sequence[Rate]]
    thresholds: Mapping[str, str]
    grouped: bool = False
    kind: str = "classifier"

    def title(self, entry: str) -> str:
        """Return the heading of the table of one entry."""
        kinds = RECALL
        if len(self.classes) == 2:
            labels = dict.fromkeys((one.kind, one.label) for one in self.entries[entry])
            kinds = " and ".join(f"{kind} of {label}" for kind, label in labels)
        by = f"value trained on and {self.column}" if self.is_matrix else self.column
        return f"{kinds} by {by}: {entry} at {self.thresholds[entry]}{positive_title(self.classes)}"

    @property
    def is_matrix(self) -> bool:
        """Whether the rates are those of a `Matrix`, which has rates for each training value."""
        return any(one.trained_on for of_entry in self.entries.values() for one in of_entry)

    @property
    def heads(self) -> list[str]:
        """Headings of the columns of `rows`."""
        groups = ["groups"] if self.grouped else []
        trained_on = ["trained on"] if self.is_matrix else []
        ends = ["rate", "value", "95 % interval"]
        return [*trained_on, self.column, "class", "images", *groups, *ends]

    def rows(self, entry: str) -> list[list[str]]:
        """Return the text cells of one entry."""
        is_matrix = self.is_matrix
        return [
            [
                *([one.trained_on] if is_matrix else []),
                one.value or NO_VALUE, one.label, str(one.n_images),
                *([str(one.n_units)] if self.grouped else []),
                one.kind, f"{one.rate:.3f}", one.interval,
            ]
            for one in self.entries[entry]
        ]  # fmt: skip

    @property
    def note(self) -> str:
        """Sentence on the intervals."""
        unit = "groups" if self.grouped else "images"
        size = "effective number" if self.grouped else "number"
        return (
            f"Each interval is the Clopper-Pearson interval for the {size} of test images, and "
            f"holds for its row alone. It accounts for the choice of test {unit}, but not for the "
            "choice of training images."
        )

    def to_pandas(self) -> "pd.DataFrame":
        """Return a table with one row for each entry, class and value.

        Only the table of a `Matrix` has the column ``trained_on``. The column ``positive_class`` is
        empty if there are not two classes.
        """
        import pandas as pd

        table = pd.DataFrame(
            [
                {self.kind: entry, "threshold": self.thresholds[entry], "column": self.column,
                 **asdict(one)}
                for entry, of_entry in self.entries.items()
                for one in of_entry
            ]
        )  # fmt: skip
        table = table if self.is_matrix else table.drop(columns="trained_on", errors="ignore")
        return table.assign(positive_class=positive_class(self.classes) or "")


def rate_table(run: "Benchmark", by: str | None = None) -> RateTable | None:
    """Compute the rates of every entry of a run.

    Parameters
    ----------
    run : Benchmark
        Result of a benchmark.
    by : str, optional
        Name of a column, or several names separated by commas. If the first column is empty in a
        row, the next one is used. The default is two columns: the protocol's column (``generator``
        if the protocol has no column), then ``source``.

    Returns
    -------
    RateTable or None
        Rates of every entry. For a `Matrix`, each value that was trained on has its own rates. None
        if `by` is not given, and no class has two or more values in the default columns.

    Raises
    ------
    UnknownNameError
        If a column is unknown.
    """
    every_row = np.ones(len(run.y), dtype=bool)
    first = str(run.about.get("column") or GENERATOR_COLUMNS[0])
    breakdown = column_values(by, run.columns, run.groups, run.y, every_row, first)
    if breakdown is None:
        return None
    return _table(run, *breakdown)


def class_rates(run: "Benchmark") -> RateTable:
    """Compute the rates of every entry of a run for each class as a whole.

    The column of the table is ``"class"``. Its value is the name of the class.
    """
    return _table(run, "class", np.array(run.classes, dtype=np.str_)[run.y])


def _table(run: "Benchmark", column: str, values: NDArray[np.str_]) -> RateTable:
    """Compute the rates of every entry for each class and value."""
    units = run.files if run.groups is None else np.where(run.groups == "", run.files, run.groups)
    outcomes: dict[str, list[Outcome]] = {}
    for outcome in run.headline:
        outcomes.setdefault(outcome.trial.trained_on, []).append(outcome)
    entries = {
        entry: [
            replace(one, trained_on=trained_on)
            for trained_on, of_value in outcomes.items()
            for one in _rates_of(run, of_value, entry, values, units)
        ]
        for entry in run.complete
    }
    thresholds = {entry: _threshold(run, entry) for entry in entries}
    return RateTable(column, run.classes, entries, thresholds, grouped=run.groups is not None)


def _rates_of(
    run: "Benchmark",
    outcomes: Sequence["Outcome"],
    entry: str,
    values: NDArray[np.str_],
    units: NDArray[np.str_],
) -> list[Rate]:
    """Compute the rates of an entry. Correct predictions are averaged over the trials."""
    correct, n_tests = np.zeros(len(run.y)), np.zeros(len(run.y))
    for outcome in outcomes:
        for fold in range(len(outcome.trial.splits)):
            tested = run.tested(outcome, entry, fold)
            correct[tested.row] += decide(tested.p, tested.threshold) == tested.y
            n_tests[tested.row] += 1
    rows = np.flatnonzero(n_tests)
    return rates(correct[rows] / n_tests[rows], run.y[rows], run.classes, values[rows], units[rows])


def column_values(
    by: str | None,
    columns: Mapping[str, NDArray[np.str_]],
    groups: NDArray[np.str_] | None,
    y: NDArray[np.int64],
    rows: NDArray[np.bool_],
    first: str = GENERATOR_COLUMNS[0],
) -> tuple[str, NDArray[np.str_]] | None:
    """Return the name and the values of the column of a table of rates.

    Parameters
    ----------
    by : str, optional
        As in `rate_table`.
    columns, groups
        Columns and groups of all rows.
    y : ndarray of shape (n_used,), int
        True class indices of the rows in use.
    rows : ndarray of shape (n_samples,), bool
        Mask of the rows in use.
    first : str
        First column, if `by` is None.

    Returns
    -------
    (str, ndarray of shape (n_used,)) or None
        None if `by` is None and no class has two values.
    """
    if by is None:
        names = [name for name in dict.fromkeys((first, *GENERATOR_COLUMNS[1:])) if name in columns]
        used = {name: columns[name] for name in names}
    else:
        used = named_columns(by, columns, groups)
    values: NDArray[np.str_] = np.zeros(len(y), dtype=np.str_)
    for column in used.values():
        values = np.where(values == "", column[rows], values)
    n_pairs = len(set(zip(y.tolist(), values.tolist(), strict=True)))
    if by is None and n_pairs <= len(np.unique(y)):
        return None
    return ", ".join(used), values


def named_columns(
    by: str, columns: Mapping[str, NDArray[np.str_]], groups: NDArray[np.str_] | None
) -> dict[str, NDArray[np.str_]]:
    """Return the columns that a comma-separated text names. ``group`` stands for the groups.

    Raises
    ------
    UnknownNameError
        If a column is unknown. The message lists the known columns.
    """
    known = {**({} if groups is None else {"group": groups}), **columns}
    names = [name.strip() for name in by.split(",") if name.strip()]
    column_of = {name: find_column(name, known) for name in names or [by]}
    for name, column in column_of.items():
        if column is None:
            raise unknown_name("column", name, known)
    return {name: known[column] for name, column in column_of.items() if column is not None}


def _threshold(run: "Benchmark", entry: str) -> str:
    """Describe the threshold of an entry."""
    chosen = [t for outcome in run.headline for t in outcome.thresholds.get(entry, ())]
    if not chosen:
        return "threshold 0.5" if len(run.classes) == 2 else "the most probable class"
    low, high = f"{min(chosen):.3f}", f"{max(chosen):.3f}"
    by = run.about.get("threshold_by") or "balanced_accuracy"
    numbers = f"threshold {low}" if low == high else f"thresholds {low} to {high}"
    return f"{numbers}, chosen by {by} {where_chosen(run)}"
