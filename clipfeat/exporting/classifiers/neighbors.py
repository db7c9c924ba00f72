"""Graphs of classifiers by distance: nearest neighbours and class means."""

import numpy as np

from clipfeat.exporting.classifiers.node import ModelNode, Scores

CLOSEST = 1e-10
"""Lower bound of the distances that are inverted to weights. scikit-learn gives a neighbour at
distance 0 all the weight. The inverse of this bound is so large that the result is the same."""


def neighbors(node: ModelNode, X: str) -> Scores:
    """Find the nearest training rows, and count or weight their classes."""
    graph = node.graph
    rows, codes = node.array("rows"), node.array("codes")
    n_neighbors = min(int(node.fields["n_neighbors"]), len(rows))
    near, places = graph.smallest(graph.squared_distances(X, rows), n_neighbors)
    votes = graph.constant((codes[:, None] == np.arange(len(node.classes))).astype(np.float32))
    classes = graph.op("Gather", votes, places, axis=0)  # (batch, n_neighbors, n_classes)
    if node.fields["weights"] == "distance":
        distance = graph.op("Max", graph.op("Sqrt", near), graph.constant(CLOSEST))
        weights = graph.op("Unsqueeze", graph.op("Reciprocal", distance), graph.integers(2))
        classes = graph.op("Mul", classes, weights)
    return Scores(graph.shares(graph.op("ReduceSum", classes, graph.integers(1), keepdims=0)))


def prototype(node: ModelNode, X: str) -> Scores:
    """Compute the logits of the class means, which are linear in the features."""
    graph = node.graph
    means = node.array("means").astype(np.float64)
    temperature = float(node.fields["temperature"])
    intercept = node.array("log_prior") - np.square(means).sum(axis=1) / temperature
    logits = graph.linear(X, 2 * means / temperature, intercept)
    return Scores(graph.op("Softmax", logits, axis=1))
