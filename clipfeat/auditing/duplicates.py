"""The checks of duplicates: files with the same bytes or nearly the same features.

A copy of a training image in the test set is a leak, and a copy with another label is a label
error. Identical files of one class and split are harmless, because they stay in one fold. Similar
files may be in different folds.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.subject import Subject
from clipfeat.features import FeatureSet
from clipfeat.features.near_duplicates import Pairs, near_duplicates

MAX_QUERIES = 20_000
"""In a larger set, the near duplicates of a random sample of this many files are searched."""
EXACT = "exact duplicates"
NEAR = "near duplicates"


def check_exact(subject: Subject) -> list[Finding]:
    """Find files with the same bytes, by content hash."""
    order = np.argsort(subject.features.keys, kind="stable")
    same = subject.features.keys[order][1:] == subject.features.keys[order][:-1]
    pairs = np.stack([order[:-1][same], order[1:][same]], axis=1)
    return list(_findings(subject, pairs, EXACT, "byte-identical"))


def near_pairs(features: FeatureSet) -> Pairs:
    """Search pairs of files with nearly the same features. See `check_near`."""
    return near_duplicates(features, max_queries=MAX_QUERIES)


def check_near(subject: Subject, pairs: Pairs | None = None) -> list[Finding]:
    """Find files with nearly the same features, except byte-identical files.

    See `clipfeat.features.near_duplicates`.

    Parameters
    ----------
    subject : Subject
        The files.
    pairs : ndarray of shape (n_pairs, 2), int64, optional
        Result of `near_pairs`. By default, the pairs are searched.

    Raises
    ------
    DataError
        If there are no features of an encoder with weights, or too few distinct files.
    """
    if pairs is None:
        pairs = near_pairs(subject.features)
    return list(_findings(subject, pairs, NEAR, "near duplicates by their features"))


def _findings(subject: Subject, pairs: Pairs, check: str, description: str) -> Iterator[Finding]:
    """Report clusters of copies: across splits first, then across labels, then all others."""
    clusters = _clusters(len(subject.features), pairs)
    exact = check == EXACT
    labels, split, groups = subject.features.labels, subject.split, subject.features.groups
    if subject.fold_groups:
        names = [subject.fold_groups.get(path, "") for path in subject.features.paths.tolist()]
        groups = np.array(names, dtype=np.str_)

    def several(values: NDArray[np.str_], rows: Pairs) -> bool:
        return len(set(values[rows].tolist()) - {""}) > 1

    def in_one_group(rows: Pairs) -> bool:
        return groups is not None and len(set(groups[rows].tolist())) == 1 and groups[rows[0]] != ""

    across_splits = [rows for rows in clusters if several(split, rows)]
    across_labels = [rows for rows in clusters if several(labels, rows)]
    crossing = {rows[0] for rows in [*across_splits, *across_labels]}
    within = [
        rows for rows in clusters if rows[0] not in crossing and (exact or not in_one_group(rows))
    ]
    if across_splits:
        advice = "Remove them from one split, because test images must not be training images"
        severity = "leak" if exact else "warning"  # similarity is an estimate
        yield _finding(
            subject, across_splits, check, severity, f"{description} in several splits", advice
        )
    if across_labels:
        advice = "Inspect them, because one of the labels may be wrong"
        with_labels = f"{description} with different labels"
        yield _finding(subject, across_labels, check, "warning", with_labels, advice)
    if within:
        severity = "note" if exact else "warning"
        advice = (
            "Folds keep them together" if exact else "--group-duplicates keeps them in one fold"
        )
        in_one = f"{description} in one class and split"
        yield _finding(subject, within, check, severity, in_one, advice)


def _clusters(n: int, pairs: Pairs) -> list[Pairs]:
    """Return the connected components of the pairs, each with two or more rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    linked = np.unique(pairs)
    linked = linked[np.argsort(component[linked], kind="stable")]
    starts = np.flatnonzero(np.diff(component[linked])) + 1
    return [rows for rows in np.split(linked, starts) if len(rows)]


def _finding(
    subject: Subject,
    clusters: list[Pairs],
    check: str,
    severity: str,
    description: str,
    advice: str,
) -> Finding:
    rows = [
        {**subject.row(i), "cluster": float(number)}
        for number, cluster in enumerate(clusters)
        for i in cluster.tolist()
    ]
    paths = subject.features.paths
    example = f"{paths[clusters[0][0]]} and {paths[clusters[0][1]]}"
    sentence = f"{len(rows)} files are {description}, such as {example}. {advice}"
    numbers = {"files": float(len(rows)), "clusters": float(len(clusters))}
    return Finding(check, severity, sentence, numbers, rows)
