"""Tests of images in array files: layouts, labels, and hostile files."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat.errors import (
    ClipfeatError,
    ClipfeatWarning,
    DataError,
    EmptySourceError,
    ReadError,
    RefusedFileError,
)
from clipfeat.images import numpy_files, open_source
from clipfeat.images.decode import decode
from clipfeat.images.manifest import TableColumns

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)
RGBA = np.concatenate([RGB, np.full((3, 6, 5, 1), 255, np.uint8)], axis=3)
ON_WHITE = np.concatenate([RGB, np.zeros((3, 6, 5, 1), np.uint8)], axis=3)
GREY = RGB[:, :, :, 0]


def pixels_of(source: Any) -> list[Any]:
    return [decode(record.reader.read()).pixels.copy() for record in source]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (RGB, RGB),
        (RGB.transpose(0, 3, 1, 2), RGB),
        (np.asfortranarray(RGB), RGB),
        (GREY, np.repeat(GREY[..., None], 3, axis=3)),
        (GREY[..., None], np.repeat(GREY[..., None], 3, axis=3)),
        (GREY[:, None], np.repeat(GREY[..., None], 3, axis=3)),
        (RGBA, RGB),
        (ON_WHITE, np.full_like(RGB, 255)),
        (RGB[0], RGB[:1]),
    ],
    ids=["rgb", "first", "fortran", "grey", "grey1", "grey-first", "rgba", "alpha", "one"],
)
@pytest.mark.parametrize("form", ["npy", "npz", "compressed"])
def test_pixels_of_every_layout(tmp_path: Path, array: Any, expected: Any, form: str) -> None:
    """Pixels do not depend on the memory layout and the storage of the array."""
    file = tmp_path / f"images.{'npy' if form == 'npy' else 'npz'}"
    if form == "npy":
        np.save(file, array)
    else:
        (np.savez if form == "npz" else np.savez_compressed)(file, data=array)
    source = open_source(file)
    assert np.array_equal(pixels_of(source), expected)
    above = "images.npy" if form == "npy" else "images.npz/data"
    assert [record.path for record in source][:1] == [f"{above}/0000000"]
    assert pickle.loads(pickle.dumps(list(source))) == list(source)


def test_parts_labels_groups_and_columns(tmp_path: Path) -> None:
    """Names of arrays, as in Keras, give the split and the labels. Others are columns."""
    np.savez(
        tmp_path / "mnist.npz",
        x_train=GREY, y_train=np.array([7, 0, 1], np.uint8), groups_train=np.array(["a", "a", "b"]),
        source_train=np.array([b"web", b"cam", b"web"]),
        x_test=GREY[:2], y_test=np.array([[7], [0]]), mean=np.zeros((6, 5)),
    )  # fmt: skip
    source = open_source(tmp_path / "mnist.npz")
    assert [(r.path[10:], r.label, r.group, dict(r.columns)) for r in source] == [
        ("x_train/0000000", "7", "a", {"source": "web", "split": "train"}),
        ("x_train/0000001", "0", "a", {"source": "cam", "split": "train"}),
        ("x_train/0000002", "1", "b", {"source": "web", "split": "train"}),
        ("x_test/0000000", "7", "", {"split": "test"}),
        ("x_test/0000001", "0", "", {"split": "test"}),
    ]
    assert source.skipped == {"array": 1}
    for name in ("train_images", "images_train", "X-train"):
        part = {name: GREY, "train_labels": np.array([1.0, 0.0, np.nan])}
        np.savez(tmp_path / "other.npz", **part)
        assert [r.label for r in open_source(tmp_path / "other.npz")] == ["1", "0", ""]


def test_labels_beside_an_npy_file(tmp_path: Path) -> None:
    """The labels of ``x_train.npy`` are read from ``y_train.npy``."""
    np.save(tmp_path / "x_train.npy", RGB)
    np.save(tmp_path / "y_train.npy", np.array(["cat", "dog", "cat"]))
    np.save(tmp_path / "y_test.npy", np.array(["dog"]))
    source = open_source(tmp_path / "x_train.npy")
    assert [(r.path, r.label) for r in source][1] == ("x_train.npy/0000001", "dog")
    assert dict(source.records[0].columns) == {"split": "train"}


def test_several_arrays_of_labels(tmp_path: Path) -> None:
    """Several label arrays are an error until one is chosen."""
    numbers = np.arange(3)
    np.savez(tmp_path / "a.npz", images=RGB, y=numbers, target=numbers + 5)
    with pytest.warns(ClipfeatWarning, match=r"\(y, target\).* Pass one .* --label-col"):
        assert {r.label for r in open_source(tmp_path / "a.npz")} == {""}
    with pytest.warns(ClipfeatWarning):
        source = open_source(tmp_path / "a.npz", columns=TableColumns(label="target"))
    assert [r.label for r in source] == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": RGB / 255}, r"the array x .* dtype float64.*\(255 \* x\).round\(\)"),
        ({"x": RGB.astype(np.int64)}, "dtype int64"),
        ({"x": RGB.reshape(3, -1)}, r"shape \(3, 90\)"),
        ({"x": RGB[:, :3].transpose(0, 1, 3, 2)[:, :, :, :3]}, "may be axis 1 or axis 3"),
        ({"x": RGB, "y": np.arange(2)}, r"shape \(2,\), expected one value for each of 3"),
        ({"x": RGB, "y": np.eye(3)}, r"for example y.argmax\(axis=1\)"),
        ({"x": RGB, "y": np.array([1, "a", None], dtype=object)}, "dtype object"),
        ({"x": RGB, "images": RGB}, "two arrays of images: x and images"),
        ({"a": np.zeros(3)}, "the array a .* dtype float64"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, r"no array of images.*a float64 \(3,\)"),
        ({"x": np.zeros((2, 0, 5), np.uint8)}, "images are empty"),
        ({"x": np.zeros((1, 10**8, 1, 1), np.uint8)}, "100000000 pixels, more than the limit"),
        (
            {"x": RGB, "a_b": np.arange(3), "a.b": np.arange(3)},
            "two arrays for the column a_b: a_b and a.b",
        ),
    ],
)
def test_arrays_that_are_not_images(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    """The error names the array and its dtype or shape, and gives a remedy."""
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        open_source(tmp_path / "a.npz")


def header(shape: object, descr: object = "|u1", version: bytes = b"\1\0") -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


def npz(data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x.npy", data)
    return file.getvalue()


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"text",
    "huge shape": lambda: header((10**18, 224, 224, 3)) + bytes(100),
    "negative shape": lambda: header((-5, 224, 224, 3)) + bytes(100),
    "overflowing shape": lambda: header((2**40, 2**40, 2**40)) + bytes(100),
    "shape of text": lambda: header(("a", 2, 3)),
    "nested header": lambda: header("(" * 5000),
    "code in the header": lambda: b"\x93NUMPY\1\0\x20\0__import__('os').system('touch hacked')\n",
    "objects": lambda: saved(np.array([print, "x"], dtype=object)),
    "object images": lambda: saved(np.empty((2, 8, 8), dtype=object)),
    "structured": lambda: saved(np.zeros(3, [("a", "u1")])),
    "truncated": lambda: saved(RGB)[:-1],
    "half a header": lambda: saved(RGB)[:40],
    "version 9": lambda: header((1, 2, 3), version=b"\t\0"),
    "item of no bytes": lambda: header((3,), "|S0"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("form", ["npy", "npz", "stored"])
def test_hostile_files_are_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    """Hostile files are an error, and nothing is unpickled, executed or allocated."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pickle, "load", None)
    data = HOSTILE[name]()
    file = Path("x.npy" if form == "npy" else "x.npz")
    method = zipfile.ZIP_DEFLATED if form == "npz" else zipfile.ZIP_STORED
    file.write_bytes(data if form == "npy" else npz(data, method))
    with pytest.raises((RefusedFileError, DataError)) as caught:
        open_source(str(file))
    assert "\n" not in str(caught.value)
    assert not Path("hacked").exists()


def test_bombs_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that claim too large a size, ratio or number of images are errors."""
    file = tmp_path / "x.npz"
    monkeypatch.setattr(numpy_files, "MAX_UNPACKED", 2**20)
    file.write_bytes(npz(saved(np.zeros((10, 500, 500), np.uint8))))
    with pytest.raises(RefusedFileError, match=r"too large to be unpacked.*numpy\.savez"):
        open_source(str(file))
    file.write_bytes(npz(saved(np.zeros((200_000, 2, 2), np.uint8))))
    with pytest.raises(DataError, match="claims 200000 images in"):
        open_source(str(file))
    damaged = bytearray(npz(saved(RGB), zipfile.ZIP_DEFLATED))
    damaged[200] ^= 255
    file.write_bytes(damaged)
    with pytest.raises((ReadError, RefusedFileError)):
        open_source(str(file)).records[0].reader.read()


def test_random_damage_is_one_error(tmp_path: Path) -> None:
    """A file with changed bytes opens, or is one error in listing or reading."""
    good = [npz(saved(RGB)), npz(saved(RGB), zipfile.ZIP_STORED), saved(RGB)]
    rng = np.random.default_rng(1)
    for i in range(300):
        data = bytearray(good[i % 3])
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(min(len(data), 250))] = rng.integers(256)
        file = tmp_path / ("x.npy" if i % 3 == 2 else "x.npz")
        file.write_bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])
        try:
            for record in open_source(str(file)):
                record.reader.read()
        except ClipfeatError:
            pass


def test_a_file_that_changes_is_not_read_from_memory(tmp_path: Path) -> None:
    """The cache of an unpacked array is dropped when the file changes."""
    file = tmp_path / "x.npz"
    np.savez_compressed(file, x=RGB)
    (first, *_) = open_source(file)
    assert np.array_equal(decode(first.reader.read()).pixels, RGB[0])
    np.savez_compressed(file, x=255 - RGB)
    (again, *_) = open_source(file)
    assert np.array_equal(decode(again.reader.read()).pixels, 255 - RGB[0])
    file.unlink()
    with pytest.raises(ReadError):
        again.reader.read()


def test_an_array_without_images_is_an_empty_source(tmp_path: Path) -> None:
    """An array without images is an error like an empty folder."""
    np.save(tmp_path / "x.npy", np.zeros((0, 8, 8, 3), np.uint8))
    with pytest.raises(EmptySourceError):
        open_source(tmp_path / "x.npy")
