"""Duplicates: the same bytes, or nearly the same features, in several files.

A copy of a training image in the test is an answer known beforehand; a copy under another label is
a wrong label. Copies within one class and split cost less: those of equal bytes are never parted
by a fold, those that are only alike may be.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.subject import Subject
from clipfeat.errors import DataError
from clipfeat.features import FeatureSet

ALIKE = 0.55
"""Of 480 generated images and photographs, by MobileNetV2, this finds 97 % saved as JPEG of quality
75, 74 % at quality 30, 93 % made smaller and all cropped by a twentieth, each beside its original;
and otherwise only failed generations that do look alike."""
NEIGHBOURS = 5
LEAST = 20
EXACT = "exact duplicates"
NEAR = "near duplicates"

Pairs = NDArray[np.int64]


def check_exact(subject: Subject) -> list[Finding]:
    """Files of equal bytes, by digest."""
    order = np.argsort(subject.features.keys, kind="stable")
    same = subject.features.keys[order][1:] == subject.features.keys[order][:-1]
    pairs = np.stack([order[:-1][same], order[1:][same]], axis=1)
    return list(_findings(subject, pairs, EXACT, "byte for byte the same"))


def check_near(subject: Subject) -> list[Finding]:
    """Files whose features are nearly the same, those of equal bytes left out.

    Alike are nearest neighbours whose distance is under `ALIKE` of what is usual in this set: of
    the median distance to the fifth neighbour, all by unit vectors, as cosine has it. Neighbours
    are searched exactly, block by block: memory stays small, time grows with the square of the
    number of files (24,000 of 1,280 features took 26 seconds of a processor; 100,000 would take
    eight minutes). Only encoders with weights count: the spectrum does not know what is shown.

    Raises
    ------
    DataError
        If there are no such features, or fewer than `LEAST` different files.
    """
    features = subject.features
    X = _of_content(features)
    _, first = np.unique(features.keys, return_index=True)
    first.sort()
    if len(first) < LEAST:
        raise DataError(f"it takes {LEAST} different files or more")
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    X = normalize(X[first])
    index = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(X)
    distances, neighbours = index.kneighbors()
    alike = distances < ALIKE * np.median(distances[:, -1])
    one, rank = np.nonzero(alike)
    pairs = np.stack([first[one], first[neighbours[one, rank]]], axis=1)
    return list(_findings(subject, pairs, NEAR, "nearly the same by their features"))


def _of_content(features: FeatureSet) -> NDArray[np.float32]:
    """The columns that tell what is shown: those of encoders that were trained."""
    if not features.X.shape[1]:
        raise DataError("it takes features: give a feature file")
    if not features.specs:
        return features.X
    slices = zip(features.specs, features.slices.values(), strict=True)
    trained = [
        features.X[:, columns] for spec, columns in slices if spec.weights and not spec.untrained
    ]
    if not trained:
        raise DataError("it takes an encoder with weights, which knows what is shown")
    return np.hstack(trained)


def _findings(subject: Subject, pairs: Pairs, check: str, alike: str) -> Iterator[Finding]:
    """Say of clusters of copies whether they cross splits or labels, worst first."""
    clusters = _clusters(len(subject.features), pairs)
    exact = check == EXACT
    labels, split, groups = subject.features.labels, subject.split, subject.features.groups

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
        advice = "take them out of one split: it is tested on what it was trained on"
        severity = "leak" if exact else "warning"  # likeness is a guess, equal bytes are none
        yield _finding(
            subject, across_splits, check, severity, f"{alike} in several splits", advice
        )
    if across_labels:
        advice = "look at them: one of their labels may be wrong"
        yield _finding(subject, across_labels, check, "warning", f"{alike} with two labels", advice)
    if within:
        severity = "note" if exact else "warning"
        advice = "folds keep them together" if exact else "give them one group, or folds part them"
        yield _finding(subject, within, check, severity, f"{alike} in one class and split", advice)


def _clusters(n: int, pairs: Pairs) -> list[Pairs]:
    """Rows that are linked by pairs, in clusters of two or more."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    linked = np.unique(pairs)
    linked = linked[np.argsort(component[linked], kind="stable")]
    starts = np.flatnonzero(np.diff(component[linked])) + 1
    return [rows for rows in np.split(linked, starts) if len(rows)]


def _finding(
    subject: Subject, clusters: list[Pairs], check: str, severity: str, what: str, advice: str
) -> Finding:
    rows = [
        {**subject.row(i), "cluster": float(number)}
        for number, cluster in enumerate(clusters)
        for i in cluster.tolist()
    ]
    paths = subject.features.paths
    example = f"{paths[clusters[0][0]]} and {paths[clusters[0][1]]}"
    sentence = f"{len(rows)} files are {what}, such as {example}: {advice}"
    numbers = {"files": float(len(rows)), "clusters": float(len(clusters))}
    return Finding(check, severity, sentence, numbers, rows)
