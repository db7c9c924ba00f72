"""Merge the decisions of several people, and measure how well they agree."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, combinations
from pathlib import Path

from clipfeat.errors import RefusedFileError
from clipfeat.features.decisions import Decision, majority_label, standing_labels
from clipfeat.images.manifest import TableColumns, no_usual_column, read_table, table_rows
from clipfeat.labelling.label_log import read_decisions
from clipfeat.system.locations import is_remote

MAX_COMPARED = 20
"""Maximum number of people whose labels are compared. The number of pairs grows quadratically."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of two people on the images that both labelled.

    Parameters
    ----------
    annotators : tuple of (str, str)
        Names of the two people.
    n_images : int
        Number of images that both labelled.
    agreement : float
        Share of these images with equal labels. NaN without such images.
    kappa : float
        Cohen's kappa: the agreement beyond chance. NaN without such images, or if both people gave
        one and the same label to all of them.
    """

    annotators: tuple[str, str]
    n_images: int
    agreement: float
    kappa: float


@dataclass(frozen=True)
class MergedLabels:
    """Labels of several people.

    Parameters
    ----------
    given : mapping of str to mapping of str to str
        For each path, the label of each annotator.

    Examples
    --------
    >>> merged = MergedLabels({"1.png": {"ann": "cat", "bob": "cat"},
    ...                        "2.png": {"ann": "cat", "bob": "dog"}})
    >>> merged.labels, list(merged.contested)
    ({'1.png': 'cat', '2.png': ''}, ['2.png'])
    """

    given: Mapping[str, Mapping[str, str]]

    @property
    def labels(self) -> dict[str, str]:
        """Label of each path: that of most people, or empty if the image is contested."""
        return {path: majority_label([*labels.values()]) for path, labels in self.given.items()}

    @property
    def disputed(self) -> dict[str, Mapping[str, str]]:
        """Labels by annotator of each path to which people gave different labels."""
        return {path: by for path, by in self.given.items() if len(set(by.values())) > 1}

    @property
    def contested(self) -> dict[str, Mapping[str, str]]:
        """Labels by annotator of each path without a single most frequent label."""
        return {
            path: by for path, by in self.disputed.items() if not majority_label([*by.values()])
        }

    @property
    def annotators(self) -> list[str]:
        """Names of the people, sorted."""
        return sorted({name for labels in self.given.values() for name in labels})

    def agreements(self) -> list[Agreement]:
        """Measure the agreement of each pair of people who labelled at least one common image.

        Of more than `MAX_COMPARED` people, those with the most labels are compared.
        """
        n_labels = Counter(name for labels in self.given.values() for name in labels)
        compared = sorted(name for name, _ in n_labels.most_common(MAX_COMPARED))
        pairs = (self._agreement(pair) for pair in combinations(compared, 2))
        return [one for one in pairs if one.n_images]

    def _agreement(self, pair: tuple[str, str]) -> Agreement:
        first, second = pair
        common = [
            (labels[first], labels[second])
            for labels in self.given.values()
            if first in labels and second in labels
        ]
        if not common:
            return Agreement(pair, 0, math.nan, math.nan)
        n = len(common)
        equal = sum(a == b for a, b in common) / n
        # scikit-learn makes a matrix of all pairs of labels, which may not fit into memory.
        one, other = (Counter(labels) for labels in zip(*common, strict=True))
        chance = sum(count * other[label] for label, count in one.items()) / n**2
        kappa = math.nan if chance == 1 else (equal - chance) / (1 - chance)
        return Agreement(pair, n, equal, kappa)


def merged_labels(*logs: Sequence[Decision]) -> MergedLabels:
    """Merge the decisions of several files in the order of their times.

    Parameters
    ----------
    *logs : sequence of Decision
        The decisions of each file, in the order of its lines. This order is kept, even if a clock
        was set back. Decisions without a time come before those of other files.
    """
    timed: list[tuple[str, Decision]] = []
    for log in logs:
        times = accumulate((one.decided_at for one in log), max)
        timed += zip(times, log, strict=True)
    timed.sort(key=lambda pair: pair[0])
    return MergedLabels(standing_labels(one for _, one in timed))


def decisions_in(table: str | Path, columns: TableColumns = TableColumns()) -> list[Decision]:
    """Read the decisions in a file of decisions, or the labels in another table of labels.

    Parameters
    ----------
    table : path
        A file of decisions, or a CSV, TSV or Parquet table with columns of paths and labels. The
        labels of such a table count as decisions of one annotator, who has the name of the file.
    columns : TableColumns
        Names of the columns of such a table.

    Raises
    ------
    UnknownNameError
        If the column of paths or labels is not recognised.
    RefusedFileError
        If the file cannot be read as a table.
    """
    path = Path(table)
    if not is_remote(table) and path.suffix.lower() != ".parquet" and path.is_file():
        with suppress(RefusedFileError):  # an ordinary table, or one that `read_table` refuses too
            return read_decisions(path)
    frame, columns = read_table(str(table), columns)
    if not columns.label:
        raise no_usual_column(str(table), "label", frame.columns.tolist())
    rows = table_rows(frame, columns)
    return [Decision(row.path, row.label, path.name) for row in rows if row.label]
