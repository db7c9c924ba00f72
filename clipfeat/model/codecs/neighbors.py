"""Codecs of classifiers by distance: nearest neighbours and class means."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from clipfeat.model.codecs.codec import Codec
from clipfeat.model.container import DamagedModelError
from clipfeat.model.nodes import NodeReader, NodeWriter
from clipfeat.zoo.knn import CappedNeighborsClassifier
from clipfeat.zoo.prototype import PrototypeClassifier


def _write_neighbors(knn: CappedNeighborsClassifier, node: NodeWriter) -> None:
    node.classes(knn.classes_)
    node.put("n_neighbors", int(knn.n_neighbors))
    node.put("weights", knn.weights)
    node.array("rows", knn._fit_X)
    node.array("codes", np.ravel(knn._y), "int32")


def _read_neighbors(node: NodeReader) -> CappedNeighborsClassifier:
    classes = node.classes()
    rows = node.array("rows", (None, node.n_features))
    codes = node.array("codes", (len(rows),), ["int32"], least=0, most=len(classes) - 1)
    if len(np.unique(codes)) < len(classes):
        raise DamagedModelError(f"{node.path} has a class without rows")
    knn = CappedNeighborsClassifier(
        node.integer("n_neighbors", 1, 2**31 - 1),
        weights=node.choice("weights", ("distance", "uniform")),
        algorithm="brute",
        n_jobs=-1,
    )
    knn._index = None
    # The fit only stores the rows. The fit of CappedNeighborsClassifier would warn of their number.
    KNeighborsClassifier.fit(knn, rows, classes[codes])
    return knn


def _write_prototype(prototype: PrototypeClassifier, node: NodeWriter) -> None:
    node.classes(prototype.classes_)
    node.doubles("means", prototype.means_)
    node.doubles("log_prior", prototype.log_prior_)
    node.put("temperature", float(prototype.temperature_))


def _read_prototype(node: NodeReader) -> PrototypeClassifier:
    prototype = PrototypeClassifier()
    prototype.classes_ = node.classes()
    n = len(prototype.classes_)
    prototype.means_ = node.doubles("means", (n, node.n_features))
    prototype.log_prior_ = node.doubles("log_prior", (n,), most=0.0)
    prototype.temperature_ = node.positive("temperature")
    return prototype


NEIGHBORS = Codec(CappedNeighborsClassifier, _write_neighbors, _read_neighbors)
PROTOTYPE = Codec(PrototypeClassifier, _write_prototype, _read_prototype)
