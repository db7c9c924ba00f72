"""Synthetic images to browse."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from clipfeat.auditing.subject import subject_of
from clipfeat.browsing.data import BrowseData
from clipfeat.features import FeatureSet
from tests.conftest import make_features


def browse_data(features: FeatureSet, roots: Sequence[str] = ()) -> BrowseData:
    """Return the images of a feature set, ready to browse."""
    return BrowseData("out.h5", subject_of(features, {}), tuple(roots), features)


def with_split(n_per_class: int = 20, **more: object) -> FeatureSet:
    """Make features of two classes with a column ``split`` in which every fourth row is test."""
    features = make_features(n_per_class, **more)  # type: ignore[arg-type]
    split = np.where(np.arange(len(features)) % 4 == 0, "test", "train")
    return replace(features, columns={"split": split})
