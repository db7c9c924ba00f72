"""Tests of feature sets: validation, selection, and joining."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.errors import ClipfeatWarning, DataError, JoinError, LabelError, UnknownNameError
from clipfeat.features import FeatureSet, join
from tests.conftest import make_features


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros(3, dtype=np.int64)}, r"y has the shape \(3,\), but X has 40 rows"),
        ({"y": np.full(40, 2)}, "y has values from 2 to 2, but there are 2 classes"),
        ({"X": np.full((40, 6), np.nan, dtype=np.float32)}, "row 0 .* has an infinite or NaN"),
        ({"X": np.zeros((40, 5), dtype=np.float32)}, "6 columns, but X has 5"),
    ],
)
def test_inconsistent_arrays_are_refused(
    features: FeatureSet, change: dict[str, object], message: str
) -> None:
    """Inconsistent shapes, labels and values are errors on construction."""
    with pytest.raises(DataError, match=message):
        replace(features, **change)


def test_labelled_drops_unknown_rows_and_unused_classes(features: FeatureSet) -> None:
    """`labelled` keeps only labelled rows, and only classes that have rows."""
    y = np.where(np.arange(40) < 10, -1, features.y)
    wide = replace(features, y=np.where(y == 1, 2, y), classes=("real", "unused", "fake"))
    kept = wide.labelled()
    assert kept.classes == ("real", "fake")
    assert len(kept) == 30
    assert kept.labels.tolist() == wide.labels[10:].tolist()


@pytest.mark.parametrize(("value", "message"), [(-1, "has a label"), (0, "have the class")])
def test_no_labels_and_one_class_are_errors(features: FeatureSet, value: int, message: str) -> None:
    """Training needs labels of at least two classes."""
    with pytest.raises(LabelError, match=message):
        replace(features, y=np.full(40, value)).labelled()


def test_join_is_by_key_not_by_position(features: FeatureSet) -> None:
    """Rows of the same image are joined, whatever their order."""
    other = make_features(name="other", seed=1).take(np.arange(40)[::-1].copy())
    joined = join([features, other])
    back = other.take(np.arange(40)[::-1].copy())
    assert np.array_equal(joined.X, np.hstack([features.X, back.X]))
    assert list(joined.slices.values()) == [slice(0, 6), slice(6, 12)]


def test_join_keeps_only_common_images_and_warns(features: FeatureSet) -> None:
    """Images that one file lacks are dropped, and a warning counts the images."""
    other = make_features(name="other").take(np.arange(5, 40))
    with pytest.warns(ClipfeatWarning, match="35 images are in every"):
        assert len(join([features, other])) == 35


def test_join_refuses_what_cannot_be_joined(features: FeatureSet) -> None:
    """A repeated encoder, disjoint images and contradicting labels are errors."""
    other = make_features(name="other")
    with pytest.raises(JoinError, match="occurs twice"):
        join([features, features])
    with pytest.raises(JoinError, match="different images"):
        join([features, replace(other, keys=np.array([b"f" * 32] * 40))])
    with pytest.raises(JoinError, match="two labels"):
        join([features, replace(other, y=1 - other.y)])


def test_equal_images_are_one_group(features: FeatureSet) -> None:
    """Identical images share a split group, with and without groups."""
    assert features.split_groups is None
    keys = features.keys.copy()
    keys[1] = keys[0]
    groups = replace(features, keys=keys).split_groups
    assert groups is not None
    assert groups[0] == groups[1] != groups[2]


def test_groups_and_equal_images_are_linked(features: FeatureSet) -> None:
    """Rows linked by groups or identical bytes share a split group, even over several links."""
    keys = features.keys.copy()
    keys[1], keys[2] = keys[0], keys[3]
    groups = np.array([f"g{i}" for i in range(40)])
    groups[1] = groups[2] = "same"
    linked = replace(features, keys=keys, groups=groups).split_groups
    assert linked is not None
    assert len(set(linked[:4].tolist())) == 1
    assert len(set(linked.tolist())) == 37


def test_one_image_under_two_labels_warns(features: FeatureSet) -> None:
    """Identical images with different labels cause a warning."""
    keys = features.keys.copy()
    keys[0] = keys[39]
    with pytest.warns(ClipfeatWarning, match="1 images occur under two labels"):
        replace(features, keys=keys).labelled()


def test_equal_bytes_join_by_their_paths(features: FeatureSet) -> None:
    """Identical images with different labels are joined by path."""
    keys = features.keys.copy()
    keys[0] = keys[39]
    both = [replace(make_features(name=name), keys=keys) for name in ("spectrum", "other")]
    assert join(both).labels.tolist() == features.labels.tolist()


def test_alike_encoders_keep_their_own_slices() -> None:
    """Two weights files of one architecture are two encoders with different titles."""
    a, b = make_features(), make_features(seed=1)
    b = replace(b, specs=(replace(b.specs[0], weights="other"),))
    assert len(join([a, b]).slices) == 2


def test_own_columns_win_over_source_columns(features: FeatureSet) -> None:
    """A source column named label does not replace the labels."""
    clash = replace(features, columns={"label": np.array(["wrong"] * 40)})
    assert clash.column("label").tolist() == features.labels.tolist()
    assert clash.to_pandas().label.tolist() == features.labels.tolist()


def test_to_pandas_has_one_row_per_image(features: FeatureSet) -> None:
    """The table has paths, labels and one column per feature."""
    table = features.to_pandas()
    assert table.shape == (40, 4 + 6)
    assert table.label.tolist() == features.labels.tolist()


def test_a_set_may_have_no_rows(features: FeatureSet) -> None:
    """A set of failed images only has no rows, but classes, files and groups can be read."""
    grouped = replace(features, groups=features.paths, columns={"file": features.paths})
    empty = grouped.take(np.array([], dtype=np.int64))
    assert (len(empty), empty.labels.tolist(), empty.files.tolist()) == (0, [], [])
    assert empty.split_groups is None
    assert len(empty.to_pandas()) == 0
    assert repr(empty).startswith("FeatureSet(0 images")


def test_unknown_columns_are_named(features: FeatureSet) -> None:
    """The error for an unknown column lists the known ones."""
    with pytest.raises(UnknownNameError, match="label, path"):
        features.column("generator")


def test_it_prints_in_one_line(features: FeatureSet) -> None:
    """The representation is one line without paths."""
    assert repr(features) == "FeatureSet(40 images × 6 features by spectrum 32px; 20 real, 20 fake)"
