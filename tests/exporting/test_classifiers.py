"""Tests that every classifier of the zoo is exported exactly, or refused by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from clipfeat.ensemble import SoftVotingClassifier, StackedClassifier
from clipfeat.errors import UsageError
from clipfeat.exporting.classifiers import CONVERTERS, add_classifier
from clipfeat.exporting.classifiers.node import ModelNode
from clipfeat.exporting.graph import Graph
from clipfeat.features import FeatureSet
from clipfeat.model import Model
from clipfeat.model.adaptation import Adaptation
from clipfeat.model.codecs import SHARED
from clipfeat.zoo import PROJECTIONS, classifiers
from clipfeat.zoo.columns import ColumnRange
from clipfeat.zoo.fit_options import BALANCES, CALIBRATIONS, FitOptions
from tests.conftest import make_features
from tests.model.test_codecs import data, fitted

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

CLOSE = 3e-6
"""Largest accepted difference between the probabilities of a classifier and of its graph."""
BUILTIN = [name for name, row in classifiers().items() if row.make.startswith("clipfeat.")]


def run_graph(model: Model, X: np.ndarray) -> np.ndarray:
    """Export only the classifier of a model, and run the graph."""
    graph = Graph()
    output = add_classifier(graph, model, "features")
    value = onnx.helper.make_tensor_value_info
    whole = onnx.helper.make_graph(
        graph.nodes,
        "classifier",
        [value("features", graph.FLOAT, ["batch", X.shape[1]])],
        [value(output, graph.FLOAT, ["batch", len(model.classes)])],
        graph.initializers,
    )
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    proto = onnx.helper.make_model(whole, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (probabilities,) = session.run(None, {"features": X})
    assert probabilities.dtype == np.float32
    return np.asarray(probabilities)


def check(estimator: Any, features: FeatureSet, **changes: Any) -> None:
    model = Model(estimator, features.classes, features.specs, **changes)
    expected = model.predict_proba(features)
    assert np.ptp(expected, axis=0).max() > 10 * CLOSE or "Dummy" in str(estimator)
    assert np.abs(run_graph(model, features.X) - expected).max() < CLOSE


@pytest.mark.parametrize("name", BUILTIN)
def test_every_classifier(name: str) -> None:
    """Each classifier is exported for two and three classes, and with each calibration."""
    for n_classes in (2, 3):
        check(fitted(name, data(n_classes)), data(n_classes))
    if name != "mlp":  # its fits take most of the time, and knn has no decision scores either
        for method in CALIBRATIONS[1:]:
            check(fitted(name, data(3), FitOptions(calibrate=method)), data(3))


@pytest.mark.parametrize(
    "options",
    [
        *(FitOptions(calibrate=method) for method in CALIBRATIONS[1:]),
        *(FitOptions(balance=balance) for balance in BALANCES[1:]),
        FitOptions(scale="l2"),
        FitOptions(calibrate="isotonic", bag=2, balance="prior"),
    ],
)
@pytest.mark.parametrize("name", ["logreg", "knn"])
def test_options_for_two_classes(name: str, options: FitOptions) -> None:
    """The options for two classes are exported with and without decision scores."""
    check(fitted(name, data(2), options), data(2))


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_every_projection(projection: str) -> None:
    check(fitted(f"{projection}+logreg", data(3)), data(3))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("ensemble", [SoftVotingClassifier, StackedClassifier])
def test_ensembles(ensemble: Callable[..., Any], n_classes: int) -> None:
    """Votes over members that use the columns of one encoder are exported."""
    from sklearn.pipeline import make_pipeline

    features = data(n_classes)
    some = make_pipeline(ColumnRange(2, 5), fitted("logreg", features))
    members = [("some", some), ("knn", fitted("knn", features))]
    weights = {"weights": [1.0, 3.0]} if ensemble is SoftVotingClassifier else {"n_splits": 2}
    check(ensemble(members, **weights).fit(features.X, features.y), features)


def test_a_member_that_knows_fewer_classes() -> None:
    """A member that was fitted on fewer classes fills only their columns."""
    features = make_features(14, ("a", "b", "c"), n_features=7)
    vote = SoftVotingClassifier([("all", fitted("logreg", features))]).fit(features.X, features.y)
    known = features.take(np.flatnonzero(features.y != 1))
    vote.estimators_ = {**vote.estimators_, "some": fitted("logreg", known)}
    vote.estimators = [("all", None), ("some", None)]
    check(vote, features)


def test_an_adaptation_is_part_of_the_graph() -> None:
    features = data(2)
    shift = Adaptation((-1.5, 1.5), "labels", 10, {}, {})
    check(fitted("logreg", features), features, adaptation=shift)


def test_an_approximated_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Nyström approximation of the kernel is exported, as for large training sets."""
    monkeypatch.setattr("clipfeat.zoo.svm.LARGE", 10)
    monkeypatch.setattr("clipfeat.zoo.svm.BASIS", 8)
    with pytest.warns(match="Nyström"):
        svm = fitted("svm", data(2), FitOptions(accelerate=False))
    check(svm, data(2))


def test_every_kind_of_node_has_a_graph() -> None:
    """Every estimator class of this package can be exported."""
    own = {kind for row in (*PROJECTIONS.values(), *classifiers().values())
           if row.make.startswith("clipfeat.") for kind, codec in row.codecs.items()
           if not codec.endswith(("CONVERSION", "ACCELERATED_FOREST", "EXTRA_TREES"))}  # fmt: skip
    assert own | set(SHARED) == set(CONVERTERS)


def test_an_unknown_kind_is_refused_by_name() -> None:
    from clipfeat.exporting.classifiers import convert

    node = ModelNode(Graph(), "estimator", {"kind": GaussianNB.__name__}, {}, convert)
    with pytest.raises(UsageError, match="GaussianNB, which has no ONNX graph"):
        convert(node, "features")
