"""ONNX graphs of the classifiers, from the nodes of a model file.

The nodes are those that `clipfeat.model.codecs` writes. `CONVERTERS` has one function for each kind
of node. A classifier of a plug-in has other kinds, so it cannot be exported.
"""

from collections.abc import Callable

import numpy as np

from clipfeat.errors import UsageError
from clipfeat.exporting.classifiers import (
    calibration,
    ensembles,
    kernel_svm,
    linear,
    neighbors,
    scaling,
    trees,
)
from clipfeat.exporting.classifiers.node import ModelNode, Scores
from clipfeat.exporting.graph import Graph
from clipfeat.model import Model
from clipfeat.model.codecs import encode

Converter = Callable[[ModelNode, str], Scores | str]
"""Function that adds a node to its graph. It takes the name of the node's input. It returns the
scores of a classifier, or the name of the output of a transformer."""

CONVERTERS: dict[str, Converter] = {
    "BaggedClassifier": ensembles.bagged,
    "BoostedTreesClassifier": trees.boosted,
    "CappedNeighborsClassifier": neighbors.neighbors,
    "ColumnRange": scaling.columns,
    "DummyClassifier": linear.dummy,
    "GroupCalibratedClassifier": calibration.calibrated,
    "LabelEncodedClassifier": ensembles.wrapped,
    "LinearDiscriminantAnalysis": linear.logistic,
    "LogisticRegression": linear.logistic,
    "MLPHeadClassifier": linear.mlp,
    "Normalizer": scaling.normalizer,
    "Nystroem": kernel_svm.nystroem,
    "AcceleratedSVC": kernel_svm.svc,
    "OrderedForestClassifier": trees.forest,
    "OversampledClassifier": ensembles.wrapped,
    "Pipeline": scaling.pipeline,
    "PrimalSVC": linear.scores_only,
    "PriorCorrectedClassifier": ensembles.prior_corrected,
    "PrototypeClassifier": neighbors.prototype,
    "RidgeClassifier": linear.scores_only,
    "SoftVotingClassifier": ensembles.vote,
    "StackedClassifier": ensembles.stack,
    "StandardScaler": scaling.standardise,
    "TripletProjection": scaling.projection,
    "UnitScaler": scaling.standardise,
}
"""Functions that add a node to a graph, by kind."""


def add_classifier(graph: Graph, model: Model, features: str) -> str:
    """Add the classifier of a model to a graph.

    Parameters
    ----------
    graph : Graph
        The graph.
    model : Model
        The model. Its adaptation, if there is one, becomes part of the graph.
    features : str
        Name of the features, float32 (batch, n_features).

    Returns
    -------
    str
        Name of the probabilities, float32 (batch, n_classes). Columns follow ``model.classes``.

    Raises
    ------
    UsageError
        If the model contains an estimator that has no ONNX graph.
    """
    fields, arrays = encode(model.estimator)
    root = ModelNode(graph, "estimator", fields, arrays, convert)
    scores = root.scores(graph.op("Cast", features, to=graph.DOUBLE))
    probabilities = ensembles.aligned(root, scores, np.arange(len(model.classes)))
    if model.adaptation is not None:
        shifts = np.array(model.adaptation.shifts)
        odds = graph.op("Mul", probabilities, graph.constant(np.exp(shifts - shifts.max())))
        probabilities = graph.shares(odds)
    return graph.op("Cast", probabilities, to=graph.FLOAT)


def convert(node: ModelNode, features: str) -> Scores | str:
    """Add a node to its graph.

    Raises
    ------
    UsageError
        If its kind has no ONNX graph.
    """
    converter = CONVERTERS.get(node.kind)
    if converter is None:
        raise UsageError(
            f"the model contains a {node.kind}, which has no ONNX graph. Fit the model with "
            "another classifier"
        )
    return converter(node, features)
