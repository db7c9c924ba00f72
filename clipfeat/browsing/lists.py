"""Lists of images to review: duplicates and possible label errors, from the audit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.duplicates import check_exact, check_near, near_pairs
from clipfeat.auditing.finding import Finding
from clipfeat.auditing.mislabelled import check_labels
from clipfeat.browsing.data import BrowseData
from clipfeat.browsing.run_predictions import BrowsePredictions, label_probabilities
from clipfeat.features import FeatureSet
from clipfeat.features.near_duplicates import Pairs


@dataclass(frozen=True, eq=False)
class BrowseList:
    """An ordered list of files with a note on each.

    Parameters
    ----------
    rows : ndarray of shape (n_listed,), int64
        Indices of the files, most important first.
    notes : mapping of int to str
        Note on a file, such as ``"cluster 3"``.
    clusters : mapping of int to int
        Number of the cluster of each file. Empty if the list has no clusters.
    sentences : tuple of str
        Description of the list.
    """

    rows: NDArray[np.int64]
    notes: Mapping[int, str] = field(default_factory=dict)
    clusters: Mapping[int, int] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()


def exact_duplicates(data: BrowseData, predictions: BrowsePredictions | None = None) -> BrowseList:
    """List the clusters of files with the same bytes."""
    return _clusters(data, check_exact(data.subject), "the same bytes")


def near_duplicates(
    data: BrowseData, predictions: BrowsePredictions | None = None, pairs: Pairs | None = None
) -> BrowseList:
    """List the clusters of files with nearly the same features.

    Parameters
    ----------
    data : BrowseData
        The images.
    predictions : BrowsePredictions, optional
        Not used.
    pairs : ndarray of shape (n_pairs, 2), int64, optional
        Result of `clipfeat.auditing.duplicates.near_pairs`. By default, the pairs are searched.

    Raises
    ------
    DataError
        If no encoder of the features has trained weights, or if there are too few files.
    """
    return _clusters(data, check_near(data.subject, pairs), "nearly the same features")


def label_errors(data: BrowseData, predictions: BrowsePredictions | None = None) -> BrowseList:
    """List the files that are likely to have a wrong label, likeliest first.

    Without predictions, a logistic regression is cross-validated.

    Raises
    ------
    DataError
        If there are too few files or classes.
    """
    subject = data.subject
    predicted = np.full(len(data), "", dtype=object)
    if predictions is not None:
        probabilities = label_probabilities(data, predictions)
        subject = replace(subject, judge=predictions.name, probabilities=probabilities)
        predicted = np.array([*predictions.classes, ""], dtype=object)[predictions.predicted]
    findings = check_labels(subject)
    rows, notes = [], {}
    for finding in findings:
        for of in finding.rows:
            row = data.row_of[str(of["path"])]
            rows.append(row)
            if predicted[row] != of["suggested"]:  # the grid shows the predicted class
                notes[row] = f"maybe {of['suggested']} {float(of['p_suggested']):.2f}"
    sentences = _sentences(findings)
    none = ("No label disagrees with a confident prediction.",)
    return BrowseList(np.array(rows, dtype=np.int64), notes, {}, sentences or none)


def _clusters(data: BrowseData, findings: Sequence[Finding], alike: str) -> BrowseList:
    rows: list[int] = []
    clusters: dict[int, int] = {}
    number = 0
    for finding in findings:
        previous = None
        for of in finding.rows:
            row = data.row_of[str(of["path"])]
            number += of["cluster"] != previous
            previous = of["cluster"]
            if row not in clusters:  # a cluster across splits and labels is in two findings
                rows.append(row)
                clusters[row] = number
    notes = {row: f"cluster {cluster}" for row, cluster in clusters.items()}
    sentences = _sentences(findings)
    none = (f"No two files have {alike}.",)
    return BrowseList(np.array(rows, dtype=np.int64), notes, clusters, sentences or none)


def _sentences(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(f"{finding.sentence}." for finding in findings)


@dataclass(frozen=True)
class BrowseListKind:
    """A kind of list.

    Parameters
    ----------
    title : str
        Name on the page.
    make : callable
        Function that returns the list. It takes the images, the predictions of a classifier, and
        the result of `search` if there is one.
    uses_predictions : bool
        Whether the list depends on the predictions.
    search : callable, optional
        Search that takes minutes. Its result depends on the features, but not on the labels.
    """

    title: str
    make: Callable[..., BrowseList]
    uses_predictions: bool = False
    search: Callable[[FeatureSet], Pairs] | None = None


LISTS = {
    "label-errors": BrowseListKind("possible label errors", label_errors, uses_predictions=True),
    "duplicates": BrowseListKind("identical files", exact_duplicates),
    "near-duplicates": BrowseListKind("near duplicates", near_duplicates, search=near_pairs),
}
"""The kinds of lists, by their names in a query."""
