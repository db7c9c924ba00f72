"""Tests of feature maps."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.features import FeatureSet
from clipfeat.report.plots.feature_map import feature_maps, map_points
from clipfeat.report.plots.plot import Plot
from tests.report.runs import with_generators


def _maps(features: FeatureSet, column: str = "") -> list[Plot]:
    return feature_maps(features, map_points(features), column)


def test_maps_by_label_and_by_a_column() -> None:
    """Both methods are coloured by label and by column. Columns with many values are not used."""
    features = with_generators(30)
    assert [plot.name for plot in _maps(features, "generator")] == [
        "pca-by-label", "pca-by-generator", "t-sne-by-label", "t-sne-by-generator",
    ]  # fmt: skip
    assert [plot.name for plot in _maps(features, "path")] == [
        "pca-by-label",
        "t-sne-by-label",
    ]


def test_rows_without_a_label_are_omitted() -> None:
    """Unlabelled rows are neither drawn nor counted in the caption."""
    features = with_generators(30)
    y = features.y.copy()
    y[:10] = -1
    plot = _maps(replace(features, y=y))[0]
    assert "of 50 images" in plot.alt
    assert "random sample" not in plot.caption
    assert _maps(replace(features, y=np.full(60, -1))) == []


@pytest.mark.parametrize("X", [np.arange(9)[:, None], np.eye(9)[:, :2]])
def test_degenerate_features(X: np.ndarray) -> None:  # type: ignore[type-arg]
    """One-dimensional and repeated features have maps. Constant features have none."""
    features = FeatureSet.from_arrays(X, ["a", "b", "c"] * 3)
    assert len(_maps(features)) == 2
    assert _maps(FeatureSet.from_arrays(0 * X, ["a", "b", "c"] * 3)) == []
