"""Graphs of linear classifiers, of the MLP, and of the baseline that predicts class frequencies."""

from clipfeat.exporting.classifiers.node import ModelNode, Scores


def scores_only(node: ModelNode, X: str) -> Scores:
    """Compute the scores of a linear classifier without probabilities."""
    return Scores("", node.graph.linear(X, node.array("coef"), node.array("intercept")))


def logistic(node: ModelNode, X: str) -> Scores:
    """Compute the scores of a linear classifier, with a sigmoid or a softmax."""
    graph = node.graph
    decision = scores_only(node, X).decision
    if len(node.classes) == 2:
        return Scores(graph.complement(graph.op("Sigmoid", decision)), decision)
    return Scores(graph.op("Softmax", decision, axis=1), decision)


def mlp(node: ModelNode, X: str) -> Scores:
    """Compute the probabilities of a neural network with one hidden layer."""
    graph = node.graph
    first, second = (
        (node.array(f"coefs/{layer}"), node.array(f"intercepts/{layer}")) for layer in range(2)
    )
    hidden = graph.op("Max", graph.linear(X, *first), graph.constant(0.0))
    return Scores(graph.op("Softmax", graph.linear(hidden, *second), axis=1))


def dummy(node: ModelNode, X: str) -> Scores:
    """Repeat the class frequencies for each row."""
    graph = node.graph
    zeros = graph.op("Mul", graph.column(X, 0, 1), graph.constant(0.0))
    return Scores(graph.op("Add", zeros, graph.constant(node.array("prior"))))
