"""Tests of images in memory: arrays, PIL images, and Hugging Face data sets."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import clipfeat
from clipfeat import ImageEncoder, image_source, load
from clipfeat.errors import ClipfeatError, DataError, EmptySourceError, UsageError
from clipfeat.images import open_source
from clipfeat.images.decode import decode
from clipfeat.images.manifest import TableColumns
from clipfeat.images.readers import FileInMemory

RGB = np.random.default_rng(0).integers(0, 256, (6, 24, 20, 3), dtype=np.uint8)
PIL = [Image.fromarray(pixels) for pixels in RGB]
LABELS = ["cat", "dog"] * 3


def pixels_of(source: Any) -> list[Any]:
    return [decode(record.reader.read()).pixels.copy() for record in source]


@pytest.mark.parametrize(
    "images",
    [RGB, RGB.transpose(0, 3, 1, 2), PIL, tuple(PIL), list(RGB), [PIL[0], *RGB[1:]]],
    ids=["array", "first", "pil", "tuple", "list", "mixed"],
)
def test_pixels_of_every_form(images: Any) -> None:
    """All forms give the same pixels, keys and paths, and fulfil the contract of sources."""
    source = open_source(images)
    assert np.array_equal(pixels_of(source), RGB)
    assert [record.path for record in source][:2] == ["0000000", "0000001"]
    assert pickle.loads(pickle.dumps(list(source))) == list(source)
    assert len({record.reader.sequence for record in source}) == 6


@pytest.mark.parametrize("image", [RGB[0], PIL[0]])
def test_one_image(image: Any) -> None:
    """A single image is accepted as a source of one image."""
    assert np.array_equal(pixels_of(open_source(image)), RGB[:1])


def test_a_pickled_image_is_small() -> None:
    """A pickled image contains its own pixels, not the whole array."""
    record = open_source(RGB).records[3]
    assert len(pickle.dumps(record)) < RGB[3].nbytes + 1000


def test_labels_groups_and_columns() -> None:
    """Missing values become empty, and labels may have any type."""
    source = image_source(
        RGB, labels=np.array([1.0, 0.0, np.nan, 1.0, 0.0, 1.0]), groups=[None, *"abcde"],
        columns={"split": ["train"] * 6},
    )  # fmt: skip
    assert [r.label for r in source] == ["1", "0", "", "1", "0", "1"]
    assert [r.group for r in source] == ["", *"abcde"]
    assert source.records[0].columns == (("split", "train"),)
    assert open_source(source, columns=TableColumns(label="split")).records[0].label == "train"


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (RGB, {"labels": [0]}, DataError, "labels has 1 values for 6 images"),
        (RGB / 255, {}, DataError, "float64"),
        ([RGB[0], RGB[1] / 255], {}, DataError, "image 1 has the dtype float64"),
        ([(PIL[0], 1)], {}, UsageError, "image 0 is of the type tuple.*Pass labels separately"),
        ([PIL[0], "a.png"], {}, UsageError, "image 1 is of the type str"),
        (iter(PIL), {}, UsageError, r"Pass a list, for example list\(images\)"),
        (7, {}, UsageError, "got int"),
        (RGB[:0], {}, EmptySourceError, "no images"),
    ],
)
def test_other_objects_are_refused(
    images: Any, options: dict[str, Any], error: type[ClipfeatError], message: str
) -> None:
    """The error names the image and the expected type."""
    with pytest.raises(error, match=message):
        image_source(images, **options)


def test_embedding_and_predicting(tmp_path: Path) -> None:
    """Rows equal those of the same images on disk. A damaged image is one failure."""
    broken = io.BytesIO()
    PIL[0].save(broken, "PNG")
    lazy = Image.open(io.BytesIO(broken.getvalue()[:-400]))
    source = image_source([*PIL, lazy, PIL[0]], labels=[*LABELS, "cat", "cat"])
    report = clipfeat.embed(source, tmp_path / "a.h5", encoder="spectrum")
    assert (report.progress.encoded, report.progress.known, report.progress.failed) == (6, 1, 1)
    for number, (image, label) in enumerate(zip(PIL, LABELS, strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        image.save(tmp_path / label / f"{number}.png")
    clipfeat.embed(tmp_path, tmp_path / "b.h5", encoder="spectrum")
    features, on_disk = load(tmp_path / "a.h5"), load(tmp_path / "b.h5")
    assert features.labels.tolist() == [*LABELS, "cat"]
    assert np.array_equal(np.sort(features.X[:6], axis=0), np.sort(on_disk.X, axis=0))
    again = clipfeat.embed(source, tmp_path / "a.h5", encoder="spectrum")
    assert (again.progress.encoded, again.n_rows) == (0, 7)
    model = clipfeat.fit(features, "logreg", cv=0)
    predicted = clipfeat.predict(model, [*PIL[:2], lazy])
    assert list(predicted.paths) == ["0000000", "0000001", "0000002"]
    assert list(predicted.errors) == ["0000002"]
    assert np.array_equal(
        ImageEncoder("spectrum").transform(open_source(RGB)),
        ImageEncoder("spectrum").transform(RGB),
    )


def test_all_images_failed(tmp_path: Path) -> None:
    """If all images fail, the error gives their cause and no advice about paths."""
    data = io.BytesIO()
    PIL[0].save(data, "PNG")
    lazy = Image.open(io.BytesIO(data.getvalue()[:-400]))
    report = clipfeat.embed([lazy], tmp_path / "a.h5", encoder="spectrum")
    assert "1 of 1 errors are: the PIL image cannot be read" in report.cause


class Value:
    """Feature type of plain values, as in ``datasets``."""


class ClassLabel:
    """Feature type of numbered classes, as in ``datasets``."""

    def __init__(self, names: list[str]) -> None:
        self.names = names


class ImageFeature:
    """Feature type of images, as in ``datasets``."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


ImageFeature.__name__ = "Image"


class Table:
    """Stand-in for the parts of ``datasets.Dataset`` that clipfeat uses."""

    def __init__(self, features: dict[str, Any], rows: dict[str, list[Any]]) -> None:
        self.features, self.rows = features, rows

    def __len__(self) -> int:
        return len(next(iter(self.rows.values())))

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, str):
            assert not isinstance(self.features[key], ImageFeature), "images were decoded"
            return self.rows[key]
        assert not self.features["image"].decode, "an image was decoded"
        return {name: values[key] for name, values in self.rows.items()}

    def select_columns(self, names: list[str]) -> "Table":
        return Table({n: self.features[n] for n in names}, {n: self.rows[n] for n in names})

    def cast_column(self, name: str, feature: Any) -> "Table":
        return Table({**self.features, name: feature}, self.rows)


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def table(tmp_path: Path) -> Any:
    (tmp_path / "1.png").write_bytes(png(RGB[1]))
    features = {
        "image": ImageFeature(), "label": ClassLabel(["cat", "dog"]), "generator": Value(),
    }  # fmt: skip
    images = [{"bytes": png(RGB[0]), "path": "0.png"},
              {"bytes": None, "path": str(tmp_path / "1.png")}, None,
              {"bytes": None, "path": "https://host.invalid/3.png"}]  # fmt: skip
    rows = {"image": images, "label": [1, 0, -1, None], "generator": ["a", None, "b", "b"]}
    return Table(features, rows)


def test_data_sets(tmp_path: Path) -> None:
    """A data set of ``datasets`` is a source: with bytes as stored, class names and columns."""
    source = open_source(table(tmp_path))
    assert [r.label for r in source] == ["dog", "cat", "", ""]
    assert [dict(r.columns) for r in source][:2] == [{"generator": "a"}, {"generator": ""}]
    assert source.records[0].reader.read() == png(RGB[0])
    assert source.records[1].reader.read() == png(RGB[1])
    for record in source.records[2:]:
        with pytest.raises(ClipfeatError, match=r"no image|not stored in the data set"):
            record.reader.read()
    of_splits = open_source({"train": table(tmp_path), "validation": table(tmp_path)})
    assert of_splits.records[5].path == "validation/0000001"
    assert dict(of_splits.records[5].columns)["split"] == "val"
    two = Table({"a": ImageFeature(), "b": ImageFeature()}, {"a": [], "b": []})
    with pytest.raises(UsageError, match="2 columns of images"):
        open_source(two)


def test_columns_named_like_arguments() -> None:
    """Columns named labels and groups do not replace the labels and the groups."""
    own = {"labels": ["x", "y"], "groups": ["v", "w"]}
    source = image_source(RGB[:2], labels=["cat", "dog"], groups=["1", "2"], columns=own)
    assert [(one.label, one.group) for one in source] == [("cat", "1"), ("dog", "2")]
    assert [dict(one.columns) for one in source] == [
        {"labels": "x", "groups": "v"}, {"labels": "y", "groups": "w"},
    ]  # fmt: skip


def test_files_in_memory_are_equal_if_their_bytes_are() -> None:
    """Two readers of the same bytes are equal, as those of other kinds."""
    assert FileInMemory(b"a") == FileInMemory(b"a") != FileInMemory(b"b")
