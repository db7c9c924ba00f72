"""Features with their labels: the joint of the image half and the classifier half."""

from clipfeat.features.feature_set import TEST, Failure, FeatureSet, Strings, order_classes
from clipfeat.features.joining import join, stack

__all__ = ["TEST", "Failure", "FeatureSet", "Strings", "join", "order_classes", "stack"]
