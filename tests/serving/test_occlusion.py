"""Tests of occlusion maps."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from clipfeat.errors import DecodeError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.serving.occlusion import OcclusionMap, grid, occlusion_map, occlusion_views
from clipfeat.serving.pictures import OPPOSING, SUPPORTING, map_picture
from tests.conftest import make_features


def test_each_cell_covers_its_part_of_the_image() -> None:
    """Each pixel is covered by exactly one cell. The first view covers nothing."""
    pixels = np.random.default_rng(0).integers(0, 200, (30, 52, 3), dtype=np.uint8)
    pixels[:, :, 2] = 255
    views = occlusion_views(52, 30)
    assert np.array_equal(views["whole"].apply(pixels, b""), pixels)
    mean = np.rint(pixels.mean(axis=(0, 1)))
    n_covered = np.zeros((30, 52), dtype=int)
    for name, view in views.items():
        changed = view.apply(pixels, b"")
        covered = (changed != pixels).any(axis=2)
        assert np.abs(changed[covered] - mean).max(initial=0) <= 1, name
        n_covered += covered
    assert n_covered.max() == 1
    assert n_covered.mean() > 0.99  # a pixel of the mean colour does not change


def test_large_images_are_reduced_once() -> None:
    """All views have one size of at most 1024 pixels per side."""
    views = occlusion_views(2000, 100)
    pixels = np.zeros((100, 2000, 3), dtype=np.uint8)
    assert {views[name].apply(pixels, b"").shape for name in ("whole", "cell-0-0")} == {
        (51, 1024, 3)
    }


def test_the_map_finds_the_cell_that_matters() -> None:
    """If only the top right cell matters, only covering this cell lowers the probability."""
    model = fit(make_features(apart=6), "logreg", cv=0)
    known = make_features(apart=6)
    n_columns, n_rows = grid(80, 60)
    names = list(occlusion_views(80, 60))
    fake, real = known.X[known.y == 1][0], known.X[known.y == 0][0]
    X = np.tile(fake, (len(names), 1))
    X[names.index(f"cell-0-{n_columns - 1}")] = real
    features = replace(
        known.take(np.zeros(len(names), dtype=np.int64)), X=X,
        paths=np.array([f"image#{name}" for name in names]),
        keys=np.array([f"{i:032x}".encode() for i in range(len(names))]),
    )  # fmt: skip
    occlusion = occlusion_map(model, features, 80, 60)
    assert occlusion.predicted == "fake"
    assert occlusion.drops.shape == (n_rows, n_columns)
    assert occlusion.strongest_place == "top right"
    assert occlusion.largest == occlusion.drops[0, -1] > 0.5
    assert np.abs(np.delete(occlusion.drops.ravel(), n_columns - 1)).max() == 0
    rest = (
        occlusion.drops[::-1, ::-1],
        occlusion.drops[:, ::-1],
        np.roll(occlusion.drops, (3, -4), (0, 1)),
    )
    places = [OcclusionMap("fake", drops).strongest_place for drops in rest]
    assert places == ["bottom left", "top left", "centre"]
    with pytest.raises(DecodeError, match="not every version"):
        occlusion_map(model, features.take(np.arange(3)), 80, 60)


def test_models_of_faces_have_no_map() -> None:
    """A model of faces has no map, because its views are those of the faces."""
    known = make_features()
    model = fit(known, "logreg", cv=0)
    faces = replace(model, specs=(replace(model.specs[0], faces="largest"),))
    with pytest.raises(UsageError, match="whole images"):
        occlusion_map(faces, known, 80, 60)


def test_the_picture_shows_support_and_opposition() -> None:
    """Cells with influence are coloured, and others stay grey."""
    grey = Image.new("RGB", (40, 10), (128, 128, 128))
    drops = np.array([[0.4, 0.0, -0.4, 0.1]])
    weak = np.asarray(map_picture(grey, OcclusionMap("fake", 1e-9 * drops)))
    assert np.abs(weak - 128.0).max() <= 1  # not scaled to the full colour
    pixels = np.asarray(map_picture(grey, OcclusionMap("fake", drops)))[5, [5, 15, 25, 35]]
    assert pixels[1].tolist() == [128, 128, 128]
    for shown, colour in ((pixels[0], SUPPORTING), (pixels[2], OPPOSING)):
        assert np.abs(shown - np.array(colour)).sum() < np.abs(pixels[1] - np.array(colour)).sum()
    assert np.abs(pixels[3] - 128.0).sum() < np.abs(pixels[0] - 128.0).sum()
