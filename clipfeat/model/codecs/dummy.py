"""Codec of the baseline that predicts the class frequencies."""

from sklearn.dummy import DummyClassifier

from clipfeat.model.codecs.codec import Codec
from clipfeat.model.nodes import NodeReader, NodeWriter


def _write(dummy: DummyClassifier, node: NodeWriter) -> None:
    node.classes(dummy.classes_)
    node.array("prior", dummy.class_prior_)


def _read(node: NodeReader) -> DummyClassifier:
    dummy = DummyClassifier(strategy="prior")
    dummy._strategy = "prior"
    dummy.classes_ = node.classes()
    dummy.n_classes_ = len(dummy.classes_)
    dummy.class_prior_ = node.array("prior", (dummy.n_classes_,), least=0.0, most=1.0)
    dummy.n_outputs_, dummy.sparse_output_ = 1, False
    return dummy


DUMMY = Codec(DummyClassifier, _write, _read)
