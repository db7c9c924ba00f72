"""Codec of boosted trees.

LightGBM and XGBoost do not check the trees of a model that they read: a wrong child index crashes
the process or causes an endless loop. Their models are therefore converted to a
`clipfeat.zoo.boosted_trees.BoostedTreesClassifier`, whose arrays are checked when they are read. A
child process with limits would also contain a crash, but it takes about a second to start, and each
prediction would copy the features. The arrays take a third of the bytes of a booster's text, and
loading imports neither library.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import UsageError
from clipfeat.model.codecs.codec import Codec
from clipfeat.model.codecs.trees import LEAF, TreeNodes, read_trees, tree_nodes, write_trees
from clipfeat.model.container import DamagedModelError
from clipfeat.model.nodes import NodeReader, NodeWriter
from clipfeat.zoo.boosted_trees import BoostedTreesClassifier

SCORES = ("probabilities", "margins")
"""Output of the classifier from which calibration computes probabilities."""


def boosted_trees(
    trees: Sequence[TreeNodes],
    baseline: NDArray[np.floating],
    classes: Any,
    n_features: int,
    *,
    has_scores: bool,
) -> BoostedTreesClassifier:
    """Build a classifier from trees. `TreeNodes.value` holds the values of their leaves."""
    boosted = BoostedTreesClassifier()
    boosted.classes_, boosted.baseline_ = classes, baseline
    boosted.trees_ = [tree.build(n_features, tree.value[:, None]) for tree in trees]
    boosted.leaves_ = [tree.value.astype(baseline.dtype) for tree in trees]
    boosted.n_features_in_, boosted.has_scores_ = n_features, has_scores
    return boosted


def _write(boosted: BoostedTreesClassifier, node: NodeWriter) -> None:
    node.classes(boosted.classes_)
    node.array("baseline", boosted.baseline_)
    node.put("scores", SCORES[boosted.has_scores_])
    write_trees([tree_nodes(tree, tree.value[:, 0, 0]) for tree in boosted.trees_], node)


def _read(node: NodeReader) -> BoostedTreesClassifier:
    classes = node.classes()
    baseline = node.array("baseline", (1 if len(classes) == 2 else len(classes),))
    trees = read_trees(node)
    if len(trees) % len(baseline):
        raise DamagedModelError(f"{node.path} has {len(trees)} trees for {len(classes)} classes")
    has_scores = SCORES.index(node.choice("scores", SCORES)) == 1
    return boosted_trees(trees, baseline, classes, node.n_features, has_scores=has_scores)


def _like(
    classifier: Any, trees: Sequence[TreeNodes], baseline: NDArray[np.floating]
) -> BoostedTreesClassifier:
    """Build boosted trees with the labels of a fitted classifier of another library."""
    return boosted_trees(
        trees, baseline, classifier.classes_, classifier.n_features_in_,
        has_scores=hasattr(classifier, "decision_function"),
    )  # fmt: skip


def lightgbm_trees(classifier: Any) -> BoostedTreesClassifier:
    """Convert a fitted LGBMClassifier."""
    booster = classifier.booster_
    head, *blocks = booster.model_to_string(num_iteration=-1).split("\nTree=")
    settings = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    objective = settings["objective"].split()[0]
    if objective not in ("binary", "multiclass") or "average_output" in head.splitlines():
        raise UsageError(
            f"a model file cannot hold LightGBM with the objective {objective!r}. Use the "
            "objective binary or multiclass, without boosting_type='rf'"
        )
    trees = [_lightgbm_tree(block) for block in blocks]
    n_margins = int(settings["num_tree_per_iteration"])
    return _like(classifier, trees, np.zeros(n_margins))


def _lightgbm_tree(block: str) -> TreeNodes:
    """Parse one tree of LightGBM's text. Inner nodes come first, and a child ~i is leaf i."""
    lines = block.partition("\n\n")[0].splitlines()[1:]
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    if fields["num_cat"] != "0" or fields.get("is_linear", "0") != "0":
        raise UsageError(
            "a model file cannot hold LightGBM with categories or linear trees. Use numeric "
            "features, and leave out linear_tree"
        )
    n_leaves = int(fields["num_leaves"])
    n_inner = n_leaves - 1

    def column(name: str, dtype: type) -> NDArray[Any]:
        return np.array(fields.get(name, "").split() if n_inner else [], dtype=dtype)

    # Bits 2 and 3 hold the kind of missing values. 1 means that zeros are missing. For the other
    # kinds, the prediction of finite values does not depend on this field.
    if (column("decision_type", int) & 0b1101 == 0b0100).any():
        raise UsageError(
            "a model file cannot hold LightGBM with zero_as_missing. Leave out zero_as_missing"
        )
    leaves = np.full(n_leaves, LEAF)
    left, right = column("left_child", int), column("right_child", int)
    return TreeNodes(
        np.concatenate([np.where(left < 0, n_inner + ~left, left), leaves]),
        np.concatenate([np.where(right < 0, n_inner + ~right, right), leaves]),
        np.concatenate([column("split_feature", int), leaves]),
        np.concatenate([column("threshold", float), np.array(fields["leaf_value"].split(), float)]),
    )


def xgboost_trees(classifier: Any) -> BoostedTreesClassifier:
    """Convert a fitted XGBClassifier."""
    booster = classifier.get_booster()
    described = json.loads(bytes(booster.save_raw("json")))
    learner = described["learner"]
    objective, boosting = learner["objective"]["name"], learner["gradient_booster"]
    if objective not in ("binary:logistic", "multi:softprob") or boosting["name"] != "gbtree":
        raise UsageError(
            f"a model file cannot hold XGBoost with the objective {objective!r} and the booster "
            f"{boosting['name']!r}. Use binary:logistic or multi:softprob with gbtree"
        )
    model, n_classes = boosting["model"], len(classifier.classes_)
    n_margins = 1 if n_classes == 2 else n_classes
    expected = [number % n_margins for number in range(len(model["trees"]))]
    if model["tree_info"] != expected:
        raise UsageError(
            "a model file cannot hold XGBoost with several trees per class and round. Leave out "
            "num_parallel_tree"
        )
    trees = [_xgboost_tree(tree) for tree in model["trees"]]
    baseline = _xgboost_baseline(described, classifier.n_features_in_).reshape(n_margins)
    return _like(classifier, trees, baseline)


def _xgboost_tree(tree: dict[str, Any]) -> TreeNodes:
    if any(tree["split_type"]):
        raise UsageError("a model file cannot hold XGBoost with categories. Use numeric features")
    left = np.array(tree["left_children"])
    leaf, value = left == LEAF, np.array(tree["split_conditions"], dtype=np.float32)
    # XGBoost goes left if the feature is less than the condition. scikit-learn goes left if the
    # feature is at most the threshold.
    below = np.nextafter(value, np.float32(-np.inf))
    return TreeNodes(
        left,
        np.where(leaf, LEAF, tree["right_children"]),
        np.where(leaf, LEAF, tree["split_indices"]),
        np.where(leaf, value, below).astype(np.float64),
    )


def _xgboost_baseline(described: dict[str, Any], n_features: int) -> NDArray[np.float32]:
    """Compute the baseline margins, to which XGBoost adds the values of the trees.

    The leaves of all trees are set to zero. If the trees were removed instead, XGBoost would return
    probabilities, not margins.
    """
    import xgboost

    for tree in described["learner"]["gradient_booster"]["model"]["trees"]:
        tree["split_conditions"] = [0.0] * len(tree["split_conditions"])
    empty = xgboost.Booster(model_file=bytearray(json.dumps(described).encode()))
    row = np.zeros((1, n_features), dtype=np.float32)
    margins: NDArray[np.float32] = empty.inplace_predict(row, predict_type="margin")
    return margins


def histogram_trees(classifier: Any) -> BoostedTreesClassifier:
    """Convert a fitted HistGradientBoostingClassifier."""
    trees = []
    for predictors in classifier._predictors:
        for predictor in predictors:
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            if nodes["is_categorical"].any():
                raise UsageError(
                    "a model file cannot hold histogram boosting with categories. Use numeric "
                    "features"
                )
            left, right, feature = (
                nodes[name].astype(np.int64) for name in ("left", "right", "feature_idx")
            )
            value = np.where(leaf, nodes["value"], nodes["num_threshold"])
            trees.append(TreeNodes.of_nodes(leaf, left, right, feature, value))
    baseline = np.asarray(classifier._baseline_prediction, dtype=np.float64).ravel()
    return _like(classifier, trees, baseline)


BOOSTED_TREES = Codec(BoostedTreesClassifier, _write, _read)
