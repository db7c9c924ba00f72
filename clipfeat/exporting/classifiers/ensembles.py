"""Graphs of classifiers that contain other classifiers."""

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble.stacking import CLIP
from clipfeat.exporting.classifiers.node import ModelNode, Scores


def aligned(node: ModelNode, scores: Scores, classes: NDArray[np.int64]) -> str:
    """Arrange the probabilities of a node in the columns of `classes`."""
    if np.array_equal(node.classes, classes):
        return scores.probabilities
    places = (node.classes[:, None] == classes).astype(np.float64)
    return node.graph.op("MatMul", scores.probabilities, node.graph.constant(places))


def _members(node: ModelNode, X: str) -> list[str]:
    """Return the probabilities of the members in the columns of the ensemble's classes."""
    return [
        aligned(member, member.scores(X), node.classes) for member in node.children("estimators")
    ]


def vote(node: ModelNode, X: str) -> Scores:
    """Average the probabilities of the members with their weights."""
    weights = node.array("weights").astype(np.float64)
    total = node.graph.total(_members(node, X), (weights / weights.sum()).tolist())
    return Scores(node.graph.shares(total))


def bagged(node: ModelNode, X: str) -> Scores:
    """Average the probabilities of the members."""
    members = _members(node, X)
    return Scores(node.graph.total(members, [1 / len(members)] * len(members)))


def stack(node: ModelNode, X: str) -> Scores:
    """Blend the log odds of the members. See `clipfeat.ensemble.stacking.log_odds`."""
    graph = node.graph
    columns = []
    for member in _members(node, X):
        p = graph.op("Clip", member, graph.constant(CLIP), graph.constant(1 - CLIP))
        p = graph.column(p, 1, 2) if len(node.classes) == 2 else p
        rest = graph.op("Sub", graph.constant(1.0), p)
        columns.append(graph.op("Sub", graph.op("Log", p), graph.op("Log", rest)))
    return Scores(node.child("blend").scores(graph.concat(columns)).probabilities)


def wrapped(node: ModelNode, X: str) -> Scores:
    """Return the probabilities of the only member. Its classes are in the same order."""
    return Scores(node.child("estimator").scores(X).probabilities)


def prior_corrected(node: ModelNode, X: str) -> Scores:
    """Divide the probabilities of the member by the class frequencies."""
    odds = node.graph.op(
        "Div", wrapped(node, X).probabilities, node.graph.constant(node.array("prior"))
    )
    return Scores(node.graph.shares(odds))
