"""Features with their labels: the joint of the image half and the classifier half."""

from clipfeat.features.feature_set import (
    TEST,
    Failure,
    FeatureSet,
    Strings,
    encode_labels,
    order_classes,
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
