"""Graphs of the SVM with RBF kernel, and of Nyström's approximation of the kernel."""

from itertools import combinations

import numpy as np

from clipfeat.exporting.classifiers.node import ModelNode, Scores
from clipfeat.model.container import Array


def _gaussian(node: ModelNode, X: str, rows: Array) -> str:
    """Compute the RBF kernel between each row of `X` and each row of an array."""
    graph = node.graph
    distances = graph.squared_distances(X, rows)
    return graph.op("Exp", graph.op("Mul", distances, graph.constant(-float(node.fields["gamma"]))))


def nystroem(node: ModelNode, X: str) -> str:
    """Map rows to the approximated space of the kernel."""
    normalization = node.array("normalization")
    kernel = _gaussian(node, X, node.array("components"))
    return node.graph.op(
        "MatMul", kernel, node.graph.constant(np.ascontiguousarray(normalization.T))
    )


def svc(node: ModelNode, X: str) -> Scores:
    """Compute the scores of `clipfeat.zoo.svm.AcceleratedSVC.decision_function`."""
    graph, n_classes = node.graph, len(node.classes)
    if "large" in node.fields:
        return Scores("", node.child("large").scores(X).decision)
    ends = np.cumsum(node.array("n_support"))
    of = [slice(end - n, end) for end, n in zip(ends, node.array("n_support"), strict=True)]
    dual = node.array("dual_coef")
    pairs = list(combinations(range(n_classes), 2))
    weights = np.zeros((dual.shape[1], len(pairs)))
    for number, (i, j) in enumerate(pairs):
        weights[of[i], number] = dual[j - 1, of[i]]
        weights[of[j], number] = dual[i, of[j]]
    kernel = _gaussian(node, X, node.array("support_vectors"))
    scores = graph.linear(kernel, weights.T, node.array("intercept"))
    if n_classes == 2 or node.fields["decision_function_shape"] == "ovo":
        return Scores("", scores)
    return Scores("", _one_vs_rest(node, scores, pairs))


def _one_vs_rest(node: ModelNode, scores: str, pairs: list[tuple[int, int]]) -> str:
    """Convert one score per pair to one per class, as scikit-learn does.

    The score of a class is its number of won pairs, plus the squashed sum of its scores.
    """
    graph = node.graph
    first, second = (np.eye(len(node.classes))[[pair[k] for pair in pairs]] for k in (0, 1))
    won = graph.op("Cast", graph.op("GreaterOrEqual", scores, graph.constant(0.0)), to=graph.DOUBLE)
    lost = graph.op("Sub", graph.constant(1.0), won)
    votes = graph.op(
        "Add",
        graph.op("MatMul", won, graph.constant(first)),
        graph.op("MatMul", lost, graph.constant(second)),
    )
    sums = graph.op("MatMul", scores, graph.constant(first - second))
    bound = graph.op("Add", graph.op("Abs", sums), graph.constant(1.0))
    squashed = graph.op("Div", sums, graph.op("Mul", bound, graph.constant(3.0)))
    return graph.op("Add", votes, squashed)
