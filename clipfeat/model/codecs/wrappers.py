"""Codecs of classifiers that contain another classifier: balancing, bagging and label encoding."""

from typing import Any

import numpy as np

from clipfeat.model.codecs.codec import Codec
from clipfeat.model.nodes import NodeReader, NodeWriter, same_classes
from clipfeat.zoo.bagging import BaggedClassifier
from clipfeat.zoo.balance import OversampledClassifier, PriorCorrectedClassifier
from clipfeat.zoo.label_encoding import LabelEncodedClassifier


def _write_bag(bag: BaggedClassifier, node: NodeWriter) -> None:
    node.classes(bag.classes_)
    node.children("estimators", bag.estimators_)


def _read_bag(node: NodeReader) -> BaggedClassifier:
    classes, estimators = node.classes(), node.children("estimators")
    same_classes(node, estimators, classes)
    bag = BaggedClassifier(estimators[0], n_splits=len(estimators))
    bag.classes_, bag.estimators_ = classes, estimators
    return bag


def _write_one(wrapper: Any, node: NodeWriter) -> None:
    node.classes(wrapper.classes_)
    node.child("estimator", wrapper.estimator_)


def _read_oversampled(node: NodeReader) -> OversampledClassifier:
    classes, estimator = node.classes(), node.child("estimator")
    same_classes(node, [estimator], classes)
    wrapper = OversampledClassifier(estimator)
    wrapper.classes_, wrapper.estimator_ = classes, estimator
    return wrapper


def _write_prior(wrapper: PriorCorrectedClassifier, node: NodeWriter) -> None:
    _write_one(wrapper, node)
    node.doubles("prior", wrapper.prior_)


def _read_prior(node: NodeReader) -> PriorCorrectedClassifier:
    classes, estimator = node.classes(), node.child("estimator")
    same_classes(node, [estimator], classes)
    wrapper = PriorCorrectedClassifier(estimator)
    wrapper.classes_, wrapper.estimator_ = classes, estimator
    wrapper.prior_ = node.doubles("prior", (len(classes),), least=1e-12, most=1.0)
    return wrapper


def _read_encoded(node: NodeReader) -> LabelEncodedClassifier:
    classes, estimator = node.classes(), node.child("estimator")
    same_classes(node, [estimator], np.arange(len(classes)))
    wrapper = LabelEncodedClassifier(estimator)
    wrapper.classes_, wrapper.estimator_ = classes, estimator
    return wrapper


BAGGED = Codec(BaggedClassifier, _write_bag, _read_bag)
OVERSAMPLED = Codec(OversampledClassifier, _write_one, _read_oversampled)
PRIOR_CORRECTED = Codec(PriorCorrectedClassifier, _write_prior, _read_prior)
LABEL_ENCODED = Codec(LabelEncodedClassifier, _write_one, _read_encoded)
