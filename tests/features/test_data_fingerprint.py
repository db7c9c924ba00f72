"""Tests of the fingerprint of a data set."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.features import FeatureSet
from clipfeat.features.data_fingerprint import data_fingerprint
from tests.conftest import make_features

FEATURES = make_features(groups=True)


def test_order_paths_and_features_do_not_matter() -> None:
    """The fingerprint depends only on the images, labels and groups."""
    shuffled = FEATURES.take(np.random.default_rng(0).permutation(len(FEATURES)))
    moved = replace(shuffled, paths=np.char.add("x/", shuffled.paths), X=shuffled.X * 2)
    assert data_fingerprint(moved) == data_fingerprint(FEATURES)


@pytest.mark.parametrize(
    "changed",
    [
        FEATURES.take(np.arange(39)),
        FEATURES.take(np.append(np.arange(40), 0)),
        replace(FEATURES, y=1 - FEATURES.y),
        replace(FEATURES, groups=None),
        replace(FEATURES, keys=np.roll(FEATURES.keys, 1)),
    ],
    ids=["one image fewer", "one image twice", "labels", "groups", "content"],
)
def test_other_data_have_another_fingerprint(changed: FeatureSet) -> None:
    """Changing an image, a label or a group changes the fingerprint."""
    assert data_fingerprint(changed) != data_fingerprint(FEATURES)
