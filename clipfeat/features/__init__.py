"""Feature sets: features with labels, the interface between encoders and classifiers."""

from clipfeat.features.classes import order_classes
from clipfeat.features.feature_set import (
    TEST,
    Failure,
    FeatureSet,
    Strings,
    encode_labels,
)
from clipfeat.features.joining import join, stack

__all__ = [
    "TEST",
    "Failure",
    "FeatureSet",
    "Strings",
    "encode_labels",
    "join",
    "order_classes",
    "stack",
]
