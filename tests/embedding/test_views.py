"""Tests that views are reproducible and that their rows stay with the image."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.pipeline import embed
from clipfeat.embedding.steps import degrade
from clipfeat.embedding.views import NAMED_VIEWS, ORIGINAL, read_views
from clipfeat.errors import EncodingError, MissingExtraError, UnknownNameError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.images.source_options import SourceOptions
from clipfeat.prediction.predicting import predict
from clipfeat.store import load
from clipfeat.zoo.folds import k_fold

PIXELS = np.random.default_rng(0).integers(0, 256, (41, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", [*NAMED_VIEWS, "jpeg50"])
def test_every_named_view_changes_the_image_reproducibly(name: str) -> None:
    """A view returns different 8-bit RGB pixels, which depend only on the key."""
    view = read_views(name)[name]
    key = view.key(bytes(16))
    pixels = view.apply(PIXELS, key)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert np.array_equal(pixels, view.apply(PIXELS, key))
    assert not np.array_equal(pixels, PIXELS)


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_keys_are_distinct(one: bytes, other: bytes) -> None:
    """Different views or different images have different keys."""
    views = read_views("hflip,vflip")
    keys = {view.key(image) for view in views.values() for image in (one, other)}
    assert len(keys) == 3 * len({one, other})


def test_rows_do_not_depend_on_order_or_workers(image_folder: Path, tmp_path: Path) -> None:
    """Random views do not depend on workers, batch size or interruptions."""
    options: dict[str, Any] = {
        "encoder": "spectrum",
        "inputs": SourceOptions(views="crop,noise,shift-scale-rotate"),
    }
    embed(image_folder, tmp_path / "a.h5", resources=EmbedResources(5, 1), **options)
    embed(image_folder / "fake", tmp_path / "b.h5", resources=EmbedResources(64, 4), **options)
    a, b = load(tmp_path / "a.h5"), load(tmp_path / "b.h5")
    assert len(a) == 4 * 24
    row_of = dict(zip(a.keys.tolist(), a.X, strict=True))
    assert all(np.allclose(row_of[key], row) for key, row in zip(b.keys.tolist(), b.X, strict=True))
    again = embed(image_folder, tmp_path / "a.h5", **options)
    assert (again.progress.encoded, again.progress.known) == (0, 96)


def test_views_may_be_added_later(image_folder: Path, tmp_path: Path) -> None:
    """Adding views to a feature file does not encode the original images again."""
    embed(image_folder, tmp_path / "a.h5", encoder="spectrum")
    report = embed(
        image_folder, tmp_path / "a.h5", encoder="spectrum", inputs=SourceOptions(views="hflip")
    )
    assert (report.progress.encoded, report.progress.known) == (24, 24)
    features = load(tmp_path / "a.h5")
    assert features.groups is not None
    assert np.array_equal(features.groups, features.files)


def test_views_stay_in_the_fold_of_their_image(image_folder: Path, tmp_path: Path) -> None:
    """All rows of an image are in one fold."""
    embed(
        image_folder,
        tmp_path / "a.h5",
        encoder="spectrum",
        inputs=SourceOptions(views="hflip,rot90"),
    )
    features = load(tmp_path / "a.h5")
    for train, test in k_fold(features.y, features.split_groups, 4, 0):
        assert not set(features.files[train]) & set(features.files[test])


def test_test_time_augmentation_averages_views(image_folder: Path, tmp_path: Path) -> None:
    """An image has one prediction, the mean of its views' probabilities."""
    embed(image_folder, tmp_path / "a.h5", encoder="spectrum")
    model = fit(load(tmp_path / "a.h5"), "logreg", cv=0)
    inputs = SourceOptions(views="rot90,crop")
    whole = predict(model, image_folder, inputs=inputs)
    parts = predict(model, image_folder, inputs=inputs, per_part=True)
    assert len(whole.paths) == 24
    assert len(parts.paths) == 72
    assert parts.paths[1].endswith("#rot90")
    assert np.allclose(whole.probabilities, parts.probabilities.reshape(24, 3, 2).mean(axis=1))


@pytest.mark.parametrize("suffix", ["json", "toml", "yaml"])
def test_views_are_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    """JSON, TOML and YAML files can define the same view."""
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
        (
            '{"a": [{"RandomHorizontalFlip": {"q": 1}}]}',
            UsageError,
            "RandomHorizontalFlip of a view does",
        ),
        ('{"a": [{"JPEG": {"quality": 0}}]}', UsageError, "1 to 100"),
        (
            '{"a": [{"JPEG": {"quality": [10.5, 20]}}]}',
            UsageError,
            "1 to 100, or a list of two such",
        ),
        ('{"a": [{"Cover": {"box": [0.5, 0, 0.5, 1]}}]}', UsageError, "left, top, right"),
        ('{"a": ["InterpolationMode"]}', UnknownNameError, "InterpolationMode"),
        ('{"a#b": []}', UsageError, "contains #"),
        ('{"a": 3}', UsageError, "does not map names"),
        ("[1", UsageError, "does not map names"),
    ],
)
def test_invalid_views_are_refused(tmp_path: Path, text: str, error: type, message: str) -> None:
    """Misspelt views, steps and arguments are errors before any image is read."""
    path = tmp_path / "views.json"
    path.write_text(text)
    with pytest.raises(error, match=message):
        read_views(str(path) if text[0] in "{[" else text)


@pytest.mark.parametrize(
    "step",
    [
        {"RandAugment": {"num_ops": 10**9}},
        {"AugMix": {"mixture_width": 10**9}},
        {"Pad": {"padding": 12_000}},
        {"Pad": {"padding": [0, [5000]]}},
        {"Resize": {"size": [24_000, 24_000]}},
        {"Resize": {"size": [16_000, 16_000]}},
        {"Resize": {"size": 16_000}},
        {"ElasticTransform": {"sigma": 5000}},
        {"GaussianBlur": {"kernel_size": 20_001}},
        {"RandomZoomOut": {"side_range": [1, float("inf")]}},
    ],
)
def test_steps_that_take_memory_or_time(tmp_path: Path, step: Any) -> None:
    """Steps that would take too much memory or time are refused when the file is read."""
    path = tmp_path / "views.json"
    path.write_text(json.dumps({"a": [step]}))
    with pytest.raises(UsageError, match=r"of a view does not accept .* at most"):
        read_views(str(path))


def test_a_crop_larger_than_the_image_fails(tmp_path: Path) -> None:
    """The error names the view and the size of the image."""
    path = tmp_path / "views.json"
    path.write_text('{"wide": [{"RandomCrop": {"size": [99, 99]}}]}')
    with pytest.raises(EncodingError, match="view 'wide' fails on an image of 30x41"):
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
def test_a_view_returns_an_image_or_fails(tmp_path: Path, step: Any) -> None:
    """Steps that return another type, several images or an empty one are errors."""
    path = tmp_path / "views.json"
    path.write_text(json.dumps({"odd": [step]}))
    with pytest.raises(EncodingError, match="'odd'"):
        read_views(str(path))["odd"].apply(PIXELS, bytes(16))


def test_albumentations_is_optional(tmp_path: Path) -> None:
    """Steps of Albumentations are seeded by the image. If it is missing, the error names it."""
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


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: &a [Grayscale]\nb: [*a, *a]\n", "aliases such as"),
     ("a: &a [*a]\n", "aliases such as"),
     ("a: " + "[" * 60_000, "nested more than 32 levels"),
     ("a: " + "{" * 60_000, "nested more than 32 levels"),
     ("- " * 1000, "nested more than 32 levels"),
     ("a: [Grayscale]\n" * 5000, "more than the limit of 65536")],
    ids=["alias", "cycle", "lists", "mappings", "blocks", "large"],
)  # fmt: skip
def test_yaml_that_takes_memory_or_time(text: str, message: str, tmp_path: Path) -> None:
    """YAML with many aliases or deeply nested brackets is refused."""
    (tmp_path / "views.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_views(str(tmp_path / "views.yaml"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("x.yaml", "a: [JPEG: {quality: 0x" + "f" * 5000 + "}]", "has an argument that is not a text"),
     ("x.yaml", "a: [JPEG: {quality: 2001-01-01}]", "has an argument that is not a text"),
     ("x.toml", ".".join("a" * 20_000) + " = 1", "more than 1000 dots")],
    ids=["digits", "date", "points"],
)  # fmt: skip
def test_values_that_json_cannot_hold(name: str, text: str, message: str, tmp_path: Path) -> None:
    """Dates and very long numbers in a definition are errors, because JSON cannot hold them."""
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_views(str(tmp_path / name))


def test_degradations_differ_between_images_and_draws(image_folder: Path, tmp_path: Path) -> None:
    """``robust3`` adds three rows to each image, and all rows differ."""
    embed(
        image_folder, tmp_path / "a.h5", encoder="spectrum", inputs=SourceOptions(views="robust3")
    )
    features = load(tmp_path / "a.h5")
    assert {"robust-1", "robust-2", "robust-3"} < set(features.columns["view"].tolist())
    assert len(np.unique(features.X, axis=0)) == len(features) == 4 * 24


def test_steps_of_one_view_draw_different_degradations() -> None:
    """A view may degrade an image twice, and both steps differ."""
    image = torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)
    first, second = degrade(1), degrade(2)
    assert not all(torch.equal(first(image, seed), second(image, seed)) for seed in range(5))
    with pytest.raises(ValueError, match="0 or more, got -1"):
        degrade(-1)


def test_every_degradation_is_drawn() -> None:
    """Over many keys, images are reduced, enlarged, and changed in their original size."""
    view = read_views("robust")["robust"]
    sizes = [view.apply(PIXELS, view.key(bytes([i] * 16))).shape for i in range(60)]
    heights = [height for height, _, _ in sizes]
    assert min(heights) < 41 < max(heights)
    assert heights.count(41) > 10
