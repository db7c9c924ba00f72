"""Replace the labels of a feature set."""

from collections.abc import Mapping
from dataclasses import replace

from clipfeat.features.feature_set import FeatureSet, encode_labels


def relabelled(features: FeatureSet, labels: Mapping[str, str]) -> FeatureSet:
    """Replace the labels of some files. The other files keep their labels.

    Parameters
    ----------
    features : FeatureSet
        The features.
    labels : mapping of str to str
        Label of each file (see `FeatureSet.files`). An empty label makes the file unlabelled.

    Examples
    --------
    >>> features = FeatureSet.from_arrays([[0.0], [1.0], [2.0]], ["cat", "dog", ""])
    >>> relabelled(features, {"1": "cat", "2": "bird", "0": ""}).labels.tolist()
    ['', 'cat', 'bird']
    """
    old = features.labels.tolist()
    texts = [labels.get(file, own) for file, own in zip(features.files.tolist(), old, strict=True)]
    classes, y = encode_labels(texts, like=features.classes)
    return replace(features, y=y, classes=classes)
