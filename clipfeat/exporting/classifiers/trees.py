"""Graphs of forests and boosted trees, as `TreeEnsembleRegressor` of ``ai.onnx.ml``.

An ONNX tree compares float32 features with float32 thresholds. The thresholds of scikit-learn are
float64. Each is rounded down to float32, which does not change the result of any comparison.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.exporting.classifiers.node import ModelNode, Scores
from clipfeat.exporting.graph import ML_DOMAIN
from clipfeat.model.codecs.trees import LEAF


def forest(node: ModelNode, X: str) -> Scores:
    """Average the class frequencies in the leaves."""
    n_trees, leaves = len(node.array("sizes")), node.array("leaves")
    targets = np.tile(np.arange(leaves.shape[1]), len(leaves))
    where = np.repeat(np.arange(len(leaves)), leaves.shape[1])
    sums = _trees(node, X, where, targets, leaves.ravel() / n_trees, leaves.shape[1])
    return Scores(sums)


def boosted(node: ModelNode, X: str) -> Scores:
    """Add the values of the leaves, and convert the margins to probabilities."""
    graph, baseline = node.graph, node.array("baseline")
    is_leaf = node.array("left") == LEAF
    of_tree = np.repeat(np.arange(len(node.array("sizes"))), node.array("sizes"))
    targets = of_tree[is_leaf] % len(baseline)
    values = node.array("value")[is_leaf]
    sums = _trees(node, X, np.arange(len(values)), targets, values, len(baseline))
    margins = graph.op("Add", sums, graph.constant(baseline.astype(np.float64)))
    decision = margins if node.fields["scores"] == "margins" else ""
    if len(baseline) == 1:
        return Scores(graph.complement(graph.op("Sigmoid", margins)), decision)
    return Scores(graph.op("Softmax", margins, axis=1), decision)


def _trees(
    node: ModelNode,
    X: str,
    where: NDArray[np.integer],
    targets: NDArray[np.integer],
    weights: NDArray[np.floating],
    n_targets: int,
) -> str:
    """Sum the weights of the leaves of all trees, as float64 (batch, n_targets).

    Parameters
    ----------
    node, X
        The node and its input.
    where, targets, weights : ndarray of shape (n_weights,)
        For each weight, the number of its leaf among all leaves, and the output that it adds to.
    n_targets : int
        Number of outputs.
    """
    graph, sizes = node.graph, node.array("sizes").astype(np.int64)
    left, right, feature = (node.array(name) for name in ("left", "right", "feature"))
    is_leaf = left == LEAF
    tree = np.repeat(np.arange(len(sizes)), sizes)
    own = np.arange(len(left)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    leaf = np.flatnonzero(is_leaf)[where]
    attributes: dict[str, Any] = {
        "nodes_treeids": tree,
        "nodes_nodeids": own,
        "nodes_featureids": np.where(is_leaf, 0, feature),
        "nodes_truenodeids": np.where(is_leaf, 0, left),
        "nodes_falsenodeids": np.where(is_leaf, 0, right),
        "nodes_values": np.where(is_leaf, 0, _rounded_down(node.array("value"))),
        "target_treeids": tree[leaf],
        "target_nodeids": own[leaf],
        "target_ids": targets,
        "target_weights": weights,
    }
    sums = graph.op(
        "TreeEnsembleRegressor",
        graph.op("Cast", X, to=graph.FLOAT),
        domain=ML_DOMAIN,
        nodes_modes=np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        n_targets=n_targets,
        **{name: values.tolist() for name, values in attributes.items()},
    )
    return graph.op("Cast", sums, to=graph.DOUBLE)


def _rounded_down(thresholds: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the largest float32 numbers that are not above the thresholds."""
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    above = nearest.astype(np.float64) > thresholds
    down: NDArray[np.float32] = np.where(above, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    return down
