"""Graph of calibrated classifiers."""

import numpy as np

from clipfeat.exporting.classifiers.node import ModelNode, Scores
from clipfeat.model.container import Array

EPS = 1e-12
"""scikit-learn adds this to probabilities before it takes their logarithms."""


def calibrated(node: ModelNode, X: str) -> Scores:
    """Calibrate the scores of each classifier, and average the probabilities."""
    graph = node.graph
    members = [
        _calibrate(node, number, member.scores(X))
        for number, member in enumerate(node.children("estimators"))
    ]
    mean = graph.total(members, [1 / len(members)] * len(members))
    return Scores(graph.shares(mean))


def _calibrate(node: ModelNode, number: int, scores: Scores) -> str:
    graph, n_classes, method = node.graph, len(node.classes), node.fields["method"]
    if method == "temperature":
        logits = _logits(node, scores)
        beta = float(node.array(f"temperature/{number}"))
        return graph.op("Softmax", graph.op("Mul", logits, graph.constant(beta)), axis=1)
    values = scores.decision
    if not values:
        whole = scores.probabilities
        values = graph.column(whole, 1, 2) if n_classes == 2 else whole
    if method == "sigmoid":
        a, b = node.array(f"sigmoids/{number}").astype(np.float64).T
        scaled = graph.op("Add", graph.op("Mul", values, graph.constant(-a)), graph.constant(-b))
        p = graph.op("Sigmoid", scaled)
    else:
        p = _isotonic(node, number, values)
    if n_classes == 2:
        return graph.complement(p)
    total = graph.row_sum(p)
    is_zero = graph.op("Equal", total, graph.constant(0.0))
    shares = graph.op("Div", p, graph.op("Where", is_zero, graph.constant(1.0), total))
    return graph.op("Where", is_zero, graph.constant(1 / n_classes), shares)


def _logits(node: ModelNode, scores: Scores) -> str:
    graph = node.graph
    if not scores.decision:
        return graph.op("Log", graph.op("Add", scores.probabilities, graph.constant(EPS)))
    if len(node.classes) == 2:
        return graph.concat([graph.op("Neg", scores.decision), scores.decision])
    return scores.decision


def _isotonic(node: ModelNode, number: int, values: str) -> str:
    """Interpolate each column linearly between the points of its curve."""
    ends = np.cumsum(node.array(f"lengths/{number}"))[:-1]
    curves = zip(
        np.split(node.array(f"X/{number}"), ends),
        np.split(node.array(f"y/{number}"), ends),
        strict=True,
    )
    return node.graph.concat(
        [_interpolate(node, values, i, x, y) for i, (x, y) in enumerate(curves)]
    )


def _interpolate(node: ModelNode, values: str, column: int, x: Array, y: Array) -> str:
    """Interpolate one column of values linearly between the points (x, y) of a curve.

    The result is y[0] plus the rise of each segment, multiplied by the share of the segment that is
    below the value.
    """
    graph = node.graph
    x, y = x.astype(np.float64), y.astype(np.float64)
    one = graph.column(values, column, column + 1)
    widths = np.diff(x) if len(x) > 1 else np.ones(1)
    rises = np.diff(y) if len(y) > 1 else np.zeros(1)
    starts = x[:-1] if len(x) > 1 else x
    passed = graph.op("Div", graph.op("Sub", one, graph.constant(starts)), graph.constant(widths))
    passed = graph.op("Clip", passed, graph.constant(0.0), graph.constant(1.0))
    return graph.linear(passed, rises[None], y[:1])
