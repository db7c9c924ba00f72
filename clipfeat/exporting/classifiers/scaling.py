"""Graphs of pipelines, scalers and projections."""

from clipfeat.exporting.classifiers.node import ModelNode, Scores


def pipeline(node: ModelNode, X: str) -> Scores | str:
    """Apply the steps one after the other."""
    *transformers, last = node.children("steps")
    for step in transformers:
        X = step.output(X)
    return node.convert(last, X)


def standardise(node: ModelNode, X: str) -> str:
    """Subtract the mean of each column and divide by its scale."""
    centred = node.graph.op("Sub", X, node.graph.constant(node.array("mean")))
    return node.graph.op("Div", centred, node.graph.constant(node.array("scale")))


def normalizer(node: ModelNode, X: str) -> str:
    """Divide each row by its norm."""
    return node.graph.unit_rows(X)


def columns(node: ModelNode, X: str) -> str:
    """Select a range of columns."""
    return node.graph.column(X, node.fields["start"], node.fields["stop"])


def projection(node: ModelNode, X: str) -> str:
    """Project rows linearly, and divide each row by its norm."""
    projected = node.graph.linear(X, node.array("components"), node.array("intercept"))
    return node.graph.unit_rows(projected)
