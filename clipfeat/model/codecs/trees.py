"""Arrays of decision trees, and the codec of forests.

The trees of a forest are stored one after the other. Each node has two children, a feature and a
value. The value of an inner node is its threshold. scikit-learn's prediction follows the indices of
children and features in compiled code without checks. All nodes are therefore checked when they are
read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import NODE_DTYPE, Tree

from clipfeat.model.codecs.codec import Codec, Conversion
from clipfeat.model.container import Array, DamagedModelError
from clipfeat.model.nodes import NodeReader, NodeWriter
from clipfeat.zoo.extra_trees import OrderedExtraTreesClassifier
from clipfeat.zoo.forest import AcceleratedForestClassifier, OrderedForestClassifier

LEAF = -1
"""Child and feature of a leaf."""
INDICES = ("left", "right", "feature")


@dataclass(frozen=True)
class TreeNodes:
    """Nodes of one tree.

    Parameters
    ----------
    left, right, feature : ndarray of shape (n_nodes,), int
        Children and features. All are `LEAF` for a leaf.
    value : ndarray of shape (n_nodes,), float64
        Thresholds of inner nodes. For boosted trees, also the values of leaves. A forest stores the
        predictions of leaves in a separate array and does not use the values of leaves.
    """

    left: NDArray[np.integer]
    right: NDArray[np.integer]
    feature: NDArray[np.integer]
    value: NDArray[np.float64]

    @classmethod
    def of_nodes(
        cls, leaf: Array, left: Array, right: Array, feature: Array, value: Array
    ) -> "TreeNodes":
        """Create the nodes of a tree, with `LEAF` as the children and features of leaves."""
        return cls(
            np.where(leaf, LEAF, left),
            np.where(leaf, LEAF, right),
            np.where(leaf, LEAF, feature),
            value,
        )

    def build(self, n_features: int, values: NDArray[np.float64]) -> Any:
        """Build a scikit-learn tree with outputs `values` of shape (n_nodes, n_outputs)."""
        nodes = np.zeros(len(self.left), dtype=NODE_DTYPE)
        nodes["left_child"], nodes["right_child"] = self.left, self.right
        nodes["feature"], nodes["threshold"] = self.feature, self.value
        n_outputs = values.shape[1]
        tree = Tree(n_features, np.array([n_outputs], dtype=np.intp), 1)
        tree.__setstate__(
            {
                "max_depth": len(nodes),
                "node_count": len(nodes),
                "nodes": nodes,
                "values": np.ascontiguousarray(values[:, None, :], dtype=np.float64),
            }
        )
        return tree


def tree_nodes(tree: Any, leaf_value: Array | float = 0.0) -> TreeNodes:
    """Return the nodes of one of scikit-learn's trees, with a value for each leaf."""
    leaf = tree.children_left < 0
    value = np.where(leaf, leaf_value, tree.threshold)
    return TreeNodes.of_nodes(leaf, tree.children_left, tree.children_right, tree.feature, value)


def write_trees(trees: Sequence[TreeNodes], node: NodeWriter) -> None:
    """Write the nodes of all trees into one array per field."""
    node.array("sizes", [len(tree.left) for tree in trees], "int32")
    for name in INDICES:
        node.array(name, np.concatenate([getattr(tree, name) for tree in trees]), "int32")
    node.doubles("value", np.concatenate([tree.value for tree in trees]))


def read_trees(node: NodeReader) -> list[TreeNodes]:
    """Read and check the nodes of all trees."""
    sizes = node.array("sizes", (None,), ["int32"], least=1, most=2**31 - 1).astype(np.int64)
    node.count_trees(len(sizes))
    ends = np.cumsum(sizes)
    n, most = int(ends[-1]), 2**31 - 1
    left, right, feature = (
        node.array(name, (n,), ["int32"], least=LEAF, most=most) for name in INDICES
    )
    value = node.doubles("value", (n,))
    own = np.arange(n) - np.repeat(ends - sizes, sizes)  # index in the tree
    size, leaf = np.repeat(sizes, sizes), left == LEAF
    forward = (left > own) & (right > own) & (left < size) & (right < size)
    inner = forward & (left != right) & (feature >= 0) & (feature < node.n_features)
    if not np.where(leaf, (right == LEAF) & (feature == LEAF), inner).all():
        raise DamagedModelError(f"{node.path} has trees with invalid children or features")
    # If no node has two parents, more than half of the nodes are leaves. The size of the file then
    # bounds the memory for the predictions of all nodes, because it holds those of all leaves.
    children = np.concatenate([(side + np.arange(n) - own)[~leaf] for side in (left, right)])
    if len(children) and np.bincount(children).max() > 1:
        raise DamagedModelError(f"{node.path} has trees in which two nodes have the same child")
    arrays = [left, right, feature, value]
    return [
        TreeNodes(*of_tree)
        for of_tree in zip(*(np.split(a, ends[:-1]) for a in arrays), strict=True)
    ]


def _write_forest(forest: OrderedForestClassifier, node: NodeWriter) -> None:
    node.classes(forest.classes_)
    trees = [one.tree_ for one in forest.estimators_]
    write_trees([tree_nodes(tree) for tree in trees], node)
    leaves = [tree.value[tree.children_left < 0, 0, :] for tree in trees]
    node.doubles("leaves", np.concatenate(leaves))


def _read_forest(node: NodeReader) -> OrderedForestClassifier:
    classes, trees = node.classes(), read_trees(node)
    is_leaf = [tree.left == LEAF for tree in trees]
    ends = np.cumsum([leaf.sum() for leaf in is_leaf])
    leaves = node.doubles("leaves", (int(ends[-1]), len(classes)), least=0.0, most=1 + 1e-6)
    forest = OrderedForestClassifier(len(trees))
    forest.estimators_ = []
    for tree, leaf, own in zip(trees, is_leaf, np.split(leaves, ends[:-1]), strict=True):
        values = np.zeros((len(leaf), len(classes)))
        values[leaf] = own
        one = DecisionTreeClassifier()
        one.tree_ = tree.build(node.n_features, values)
        one.n_features_in_, one.n_outputs_ = node.n_features, 1
        one.classes_, one.n_classes_ = np.arange(len(classes)), len(classes)
        forest.estimators_.append(one)
    forest.classes_, forest.n_classes_, forest.n_outputs_ = classes, len(classes), 1
    return forest


def _as_ordered(forest: Any) -> OrderedForestClassifier:
    """Convert a forest of another class that also averages the probabilities of its trees."""
    ordered = OrderedForestClassifier(len(forest.estimators_))
    ordered.estimators_, ordered.classes_ = forest.estimators_, forest.classes_
    return ordered


FOREST = Codec(OrderedForestClassifier, _write_forest, _read_forest)
ACCELERATED_FOREST = Conversion(AcceleratedForestClassifier, _as_ordered)
EXTRA_TREES = Conversion(OrderedExtraTreesClassifier, _as_ordered)
