"""Views: the same ones always, rows tied to their image, and never parted from it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.embedding.pipeline import embed
from clipfeat.embedding.views import NAMED, ORIGINAL, read_views
from clipfeat.errors import EncodingError, MissingExtraError, UnknownNameError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.prediction.predicting import predict
from clipfeat.store import load
from clipfeat.zoo.folds import k_fold

PIXELS = np.random.default_rng(0).integers(0, 256, (41, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", [*NAMED, "jpeg50"])
def test_every_named_view_changes_the_image_and_is_drawn_anew_for_each_key(name: str) -> None:
    """A view gives 8-bit RGB, the same for the same key; it is not the image itself."""
    view = read_views(name)[name]
    key = view.key(bytes(16))
    seen = view.apply(PIXELS, key)
    assert seen.dtype == np.uint8
    assert seen.shape[2] == 3
    assert np.array_equal(seen, view.apply(PIXELS, key))
    assert not np.array_equal(seen, PIXELS)


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_keys_tell_images_and_views_apart(one: bytes, other: bytes) -> None:
    """Two keys are equal only for the same view of the same image."""
    views = read_views("hflip,vflip")
    keys = {view.key(image) for view in views.values() for image in (one, other)}
    assert len(keys) == 3 * len({one, other})


def test_rows_do_not_depend_on_order_or_workers(image_folder: Path, tmp_path: Path) -> None:
    """Random views come out the same with other workers and batches, and after a resume."""
    words: dict[str, Any] = {"encoder": "spectrum", "views": "crop,noise,shift-scale-rotate"}
    embed(image_folder, tmp_path / "a.h5", num_workers=1, batch_size=5, **words)
    embed(image_folder / "fake", tmp_path / "b.h5", num_workers=4, batch_size=64, **words)
    a, b = load(tmp_path / "a.h5"), load(tmp_path / "b.h5")
    assert len(a) == 4 * 24
    of = dict(zip(a.keys.tolist(), a.X, strict=True))
    assert all(np.allclose(of[key], row) for key, row in zip(b.keys.tolist(), b.X, strict=True))
    again = embed(image_folder, tmp_path / "a.h5", **words)
    assert (again.progress.encoded, again.progress.known) == (0, 96)


def test_views_may_be_added_later(image_folder: Path, tmp_path: Path) -> None:
    """A file without views is continued: the images themselves are not encoded again."""
    embed(image_folder, tmp_path / "a.h5", encoder="spectrum")
    report = embed(image_folder, tmp_path / "a.h5", encoder="spectrum", views="hflip")
    assert (report.progress.encoded, report.progress.known) == (24, 24)
    features = load(tmp_path / "a.h5")
    assert features.groups is not None
    assert np.array_equal(features.groups, features.files)


def test_no_split_parts_an_image_from_its_views(image_folder: Path, tmp_path: Path) -> None:
    """All rows of an image are in one fold."""
    embed(image_folder, tmp_path / "a.h5", encoder="spectrum", views="hflip,rot90")
    features = load(tmp_path / "a.h5")
    for train, test in k_fold(features.y, features.split_groups, 4, 0):
        assert not set(features.files[train]) & set(features.files[test])


def test_testing_averages_an_images_views(image_folder: Path, tmp_path: Path) -> None:
    """``tta`` gives one row an image: the mean of its views' probabilities."""
    embed(image_folder, tmp_path / "a.h5", encoder="spectrum")
    model = fit(load(tmp_path / "a.h5"), "logreg", cv=0)
    whole = predict(model, image_folder, tta="rot90,crop")
    parts = predict(model, image_folder, tta="rot90,crop", per_part=True)
    assert len(whole.paths) == 24
    assert len(parts.paths) == 72
    assert parts.paths[1].endswith("#rot90")
    assert np.allclose(whole.probabilities, parts.probabilities.reshape(24, 3, 2).mean(axis=1))


@pytest.mark.parametrize("suffix", ["json", "toml", "yaml"])
def test_views_are_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    """The same pipeline in each format is the same view."""
    texts = {
        "json": json.dumps({"both": ["Grayscale", {"RandomHorizontalFlip": {"p": 1}}]}),
        "toml": 'both = ["Grayscale", {RandomHorizontalFlip = {p = 1}}]',
        "yaml": "both:\n  - Grayscale\n  - RandomHorizontalFlip: {p: 1}\n",
    }
    path = tmp_path / f"views.{suffix}"
    path.write_text(texts[suffix].replace("Grayscale", "RandomGrayscale"))
    views = read_views(str(path))
    assert list(views) == [ORIGINAL, "both"]
    steps = [["RandomGrayscale", {}], ["RandomHorizontalFlip", {"p": 1}]]
    assert json.loads(views["both"].definition) == steps


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("hflipp", UnknownNameError, "did you mean hflip"),
        ('{"a": ["RandomHorizontalFlop"]}', UnknownNameError, "RandomHorizontalFlip"),
        ('{"a": [{"RandomHorizontalFlip": {"q": 1}}]}', UsageError, "RandomHorizontalFlip does no"),
        ('{"a": [{"JPEG": {"quality": 0}}]}', UsageError, "1 to 100"),
        ('{"a": ["InterpolationMode"]}', UnknownNameError, "InterpolationMode"),
        ('{"a#b": []}', UsageError, "may not hold #"),
        ('{"a": 3}', UsageError, "does not map names"),
        ("[1", UsageError, "does not map names"),
    ],
)
def test_what_is_no_view_is_said(tmp_path: Path, text: str, error: type, message: str) -> None:
    """Misspelt views, steps and arguments end before any image is read."""
    path = tmp_path / "views.json"
    path.write_text(text)
    with pytest.raises(error, match=message):
        read_views(str(path) if text[0] in "{[" else text)


def test_a_view_that_an_image_is_too_small_for_is_its_failure(tmp_path: Path) -> None:
    """A crop larger than an image says so."""
    path = tmp_path / "views.json"
    path.write_text('{"wide": [{"RandomCrop": {"size": [99, 99]}}]}')
    with pytest.raises(EncodingError, match="no view 'wide' of 30x41"):
        read_views(str(path))["wide"].apply(PIXELS, bytes(16))


@pytest.mark.parametrize(
    "step",
    [
        "ToPILImage",
        {"FiveCrop": {"size": 8}},
        {"CenterCrop": {"size": 0}},
        {"Lambda": {"lambd": "x"}},
    ],
)
def test_what_a_view_gives_is_an_image_or_a_failure(tmp_path: Path, step: Any) -> None:
    """Steps that give a picture of another kind, several, or none fail by the image."""
    path = tmp_path / "views.json"
    path.write_text(json.dumps({"odd": [step]}))
    with pytest.raises(EncodingError, match="'odd'"):
        read_views(str(path))["odd"].apply(PIXELS, bytes(16))


def test_albumentations_is_used_where_it_is_installed(tmp_path: Path) -> None:
    """Its steps are seeded by the image too; without it the error says what to install."""
    path = tmp_path / "views.json"
    path.write_text('{"a": [{"A.RandomBrightnessContrast": {"p": 1.0}}]}')
    try:
        import albumentations  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match="pip install albumentations"):
            read_views(str(path))
        return
    view = read_views(str(path))["a"]
    assert np.array_equal(view.apply(PIXELS, bytes(16)), view.apply(PIXELS, bytes(16)))
