"""Tests of the images to browse and their filters."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfeat.browsing.data import MAX_CLASSES, MAX_VALUES, open_browse_data
from clipfeat.browsing.image_search import search_row
from clipfeat.errors import UsageError
from clipfeat.features import FeatureSet
from tests.browsing.browsed import browse_data
from tests.conftest import make_features, write_parts


def test_another_folder_is_another_version() -> None:
    """The version depends on the folder, so browsers do not show its cached thumbnails."""
    features = make_features(2)
    assert browse_data(features, ["a"]).version != browse_data(features, ["b"]).version


def test_a_file_is_found_by_any_of_its_rows() -> None:
    """A search compares all frames of a video, as `clipfeat search` does."""
    X = np.eye(4, dtype=np.float32)[[0, 1, 2, 0]]
    file = np.array(["b.mp4", "a.mp4", "c.mp4", "a.mp4"])
    features = replace(FeatureSet.from_arrays(X, ["x"] * 4), columns={"file": file})
    matches = search_row(browse_data(features), 0, 3)  # the frame is also in a.mp4
    assert matches.rows.tolist() == [0, 1, 2]
    assert matches.similarities.tolist() == [1, 1, 0]


def test_columns_with_few_values_are_facets() -> None:
    """Columns with one value or with too many values are not facets."""
    features = make_features(MAX_VALUES, groups=True)
    n = len(features)
    columns = {
        "generator": np.array(["SDXL", ""] * (n // 2)),
        "constant": np.full(n, "x"),
        "id": features.paths,
    }
    data = browse_data(replace(features, columns=columns))
    assert list(data.facets) == ["class", "column:generator", "group"]
    assert data.facets["class"].values == ("real", "fake")
    assert data.facets["class"].counts == [n // 2, n // 2]
    assert data.facets["column:generator"].values == ("(unknown)", "SDXL")
    assert data.columns(1) == {"group": "g1", "constant": "x", "id": features.paths[1]}


def test_images_without_a_label_are_a_value_of_the_class() -> None:
    """Unlabelled images have the class code that follows the codes of the classes."""
    features = make_features(3)
    facet = browse_data(replace(features, y=np.array([0, 1, -1, 1, 0, -1]))).facets["class"]
    assert facet.values == ("real", "fake", "(unknown)")
    assert facet.codes.tolist() == [0, 1, 2, 1, 0, 2]


def test_more_classes_than_codes_are_no_facet() -> None:
    """The codes of a facet have 16 bits, and a larger code would be that of another class."""
    for n, keys in ((MAX_CLASSES, ["class"]), (MAX_CLASSES + 1, [])):
        classes = tuple(map(str, range(n)))
        y = np.full(4, n - 1)
        data = browse_data(replace(make_features(2), classes=classes, y=y))
        assert list(data.facets) == keys
        assert all(facet.codes.tolist() == [n - 1] * 4 for facet in data.facets.values())


def test_a_file_with_several_rows_is_one_image() -> None:
    """The views of a file are shown once, under the path of the file."""
    features = make_features(4)
    files = np.array([f"{i // 2}.png" for i in range(8)])
    data = browse_data(replace(features, columns={"file": files}))
    assert data.paths.tolist() == ["0.png", "1.png", "2.png", "3.png"]
    assert list(data.facets) == ["class"]


def test_images_are_shown_from_a_trusted_folder_only(tmp_path: Path) -> None:
    """A folder that the file records is not used unless this user has embedded it."""
    features = make_features(3)
    file = write_parts(tmp_path / "out.h5", features)
    assert open_browse_data(features, [file]).roots == ()
    assert open_browse_data(features, [file], [tmp_path]).roots == (str(tmp_path),)
    with pytest.raises(UsageError, match="is not a folder"):
        open_browse_data(features, [file], [tmp_path / "none"])
