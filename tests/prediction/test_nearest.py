"""Tests of the search for nearest training images."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.errors import FingerprintError
from clipfeat.features import FeatureSet
from clipfeat.prediction.nearest import NearestImages
from tests.conftest import make_features, make_spec


def test_the_distance_is_the_mean_over_the_encoders() -> None:
    """Each encoder has the same weight, whatever its number of columns and its scale."""
    one, other = make_features(n_features=4), make_features(n_features=30, seed=1, name="timm:a")
    both = replace(one, X=np.hstack([one.X, 100 * other.X]), specs=(*one.specs, *other.specs))
    mean = (
        NearestImages(one, one.specs).distances(one.X)
        + NearestImages(other, other.specs).distances(other.X)
    ) / 2
    assert np.allclose(NearestImages(both, both.specs).distances(both.X), mean, atol=1e-5)


def test_nearest_images_are_sorted_and_labelled(features: FeatureSet) -> None:
    """A training image is nearest to itself. Constant columns have no influence."""
    constant = np.full((len(features), 1), 7, dtype=np.float32)
    padded = replace(
        features, X=np.hstack([features.X, constant]), specs=(make_spec(n_features=7),)
    )
    (images,) = NearestImages(padded, padded.specs).nearest(padded.X[5:6], 3)
    assert (images[0].path, images[0].label) == (features.paths[5], "real")
    assert images[0].distance == pytest.approx(0, abs=1e-6)
    assert [near.distance for near in images] == sorted(near.distance for near in images)
    assert [near.path for near in images] == [
        near.path for near in NearestImages(features, features.specs).nearest(features.X[5:6], 3)[0]
    ]


def test_a_file_is_listed_once(features: FeatureSet) -> None:
    """Views are not searched, and the image itself can be excluded by its key."""
    rows = np.repeat(np.arange(len(features)), 3)
    views = np.array(["original", "jpeg75", ""] * len(features))  # the last one is another frame
    files = features.paths[rows]
    names = np.array([f"{path}#{number}" for number, path in enumerate(files)])
    parts = replace(features.take(rows), paths=names, columns={"file": files, "view": views})
    parts.X[views == "jpeg75"] = features.X[5]
    search = NearestImages(parts, parts.specs)
    (near,) = search.nearest(features.X[5:6], 4)
    assert near[0].path == features.paths[5]
    assert len({one.path for one in near}) == 4
    assert near[1].distance > 1e-3
    (others,) = search.nearest(features.X[5:6], 3, features.keys[5:6].tolist())
    assert others == near[1:]


def test_features_of_another_encoder_are_refused(features: FeatureSet) -> None:
    """The error names the difference between the encoders."""
    with pytest.raises(FingerprintError, match="n_features"):
        NearestImages(features, (make_spec(n_features=7),))
