"""Codecs of the neural network and of the triplet projection, which torch trains."""

from clipfeat.model.codecs.codec import Codec
from clipfeat.model.nodes import NodeReader, NodeWriter
from clipfeat.zoo.mlp import MLPHeadClassifier
from clipfeat.zoo.triplet import TripletProjection


def _write_mlp(network: MLPHeadClassifier, node: NodeWriter) -> None:
    node.classes(network.classes_)
    for number, (coef, intercept) in enumerate(
        zip(network.coefs_, network.intercepts_, strict=True)
    ):
        node.array(f"coefs/{number}", coef)
        node.array(f"intercepts/{number}", intercept)


def _read_mlp(node: NodeReader) -> MLPHeadClassifier:
    classes = node.classes()
    hidden = node.array("coefs/0", (None, node.n_features), ["float32"])
    width = len(hidden)
    network = MLPHeadClassifier(hidden=width)
    network.classes_ = classes
    network.coefs_ = [hidden, node.array("coefs/1", (len(classes), width), ["float32"])]
    network.intercepts_ = [
        node.array("intercepts/0", (width,), ["float32"]),
        node.array("intercepts/1", (len(classes),), ["float32"]),
    ]
    return network


def _write_triplet(projection: TripletProjection, node: NodeWriter) -> None:
    node.array("components", projection.components_)
    node.array("intercept", projection.intercept_)


def _read_triplet(node: NodeReader) -> TripletProjection:
    components = node.array("components", (None, node.n_features), ["float32"])
    projection = TripletProjection(len(components))
    projection.components_ = components
    projection.intercept_ = node.array("intercept", (len(components),), ["float32"])
    projection._n_features_out = len(components)
    return projection


MLP = Codec(MLPHeadClassifier, _write_mlp, _read_mlp)
TRIPLET = Codec(TripletProjection, _write_triplet, _read_triplet)
