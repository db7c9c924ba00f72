"""Tests of images in HDF5 files: layouts, labels, and hostile files."""

import pickle
import tracemalloc
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from clipfeat.errors import ClipfeatError, ReadError, RefusedFileError, UsageError
from clipfeat.images import hdf5_images, open_source
from clipfeat.images.decode import decode
from clipfeat.images.hdf5_images import is_image_set
from clipfeat.store import FeatureWriter
from tests.conftest import make_features, write_parts

RGB = np.random.default_rng(0).integers(0, 256, (5, 9, 7, 3), dtype=np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.h5"


@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": (2, 4, 7, 3)}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True},
     {"chunks": (1, 9, 7, 3), "fletcher32": True}],
    ids=str,
)  # fmt: skip
def test_pixels_of_every_storage(file: Path, options: dict[str, Any]) -> None:
    """Pixels and labels do not depend on how the datasets are stored."""
    with h5py.File(file, "w") as h5:
        h5.create_dataset("images", data=RGB, **options)
        h5["labels"] = ["cat", "dog", "cat", "dog", "cat"]
        h5["camera"] = np.arange(5)
        h5["note"] = "text"
    source = open_source(file)
    images = [decode(record.reader.read()).pixels for record in source]
    assert np.array_equal(images, RGB)
    assert [r.label for r in source] == ["cat", "dog", "cat", "dog", "cat"]
    assert (source.records[1].path, source.records[1].columns) == (
        "a.h5/images/0000001", (("camera", "1"),)
    )  # fmt: skip
    assert source.skipped == {"array": 1}
    assert pickle.loads(pickle.dumps(list(source))) == list(source)
    file.unlink()
    with pytest.raises(ReadError):
        source.records[0].reader.read()


def test_pixels_of_a_compact_dataset(file: Path) -> None:
    """Small datasets that are stored in the file header, without chunks, are read."""
    with h5py.File(file, "w") as h5:
        storage = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        storage.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(RGB.shape)
        data = h5py.h5d.create(h5.id, b"images", h5py.h5t.STD_U8LE, space, storage)
        h5py.Dataset(data)[...] = RGB
    images = [decode(record.reader.read()).pixels for record in open_source(file)]
    assert np.array_equal(images, RGB)


def test_large_chunks_that_lzf_left_unpacked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that lzf did not compress may be large. Compressed ones are limited."""
    monkeypatch.setattr(hdf5_images, "MAX_LZF", 100)
    plain = np.zeros((1, 90, 70, 3), np.uint8)
    with h5py.File(file, "w") as h5:
        h5.create_dataset("x_train", data=RGB, compression="lzf")
        h5.create_dataset("x_test", data=plain, compression="lzf")
    pixels = [decode(r.reader.read()).pixels for r in open_source(file) if "train" in r.path]
    assert np.array_equal(pixels, RGB)
    (reader,) = (r.reader for r in open_source(file) if "test" in r.path)
    with pytest.raises(ReadError, match="bytes, more than the limit of 100"):
        reader.read()


@pytest.mark.parametrize(
    "data", [RGB[:1], RGB.astype("f4"), RGB[0, 0, 0], RGB[:, :4], None],
    ids=["fewer", "float", "numbers", "smaller", "group"],
)  # fmt: skip
def test_a_file_that_is_replaced_after_listing(file: Path, data: Any) -> None:
    """If the file is replaced after listing, its images are errors, not other images."""
    with h5py.File(file, "w") as h5:
        h5.create_dataset("images", data=RGB, compression="gzip")
    last = open_source(file).records[4]
    with h5py.File(file, "w") as h5:
        if data is None:
            h5.create_group("images")
        else:
            h5["images"] = data
    with pytest.raises(ReadError, match="its file has changed since it was listed"):
        last.reader.read()


def test_groups_are_parts(file: Path) -> None:
    """Names of groups and datasets give the split, as in PCam."""
    with h5py.File(file, "w") as h5:
        h5["train/images"], h5["train/y"] = RGB, np.array([0, 1, 0, 1, 0])
        h5["test_set_x"], h5["test_set_y"] = RGB[:1].transpose(0, 3, 1, 2), np.array([[1]])
    rows = {r.path: (r.label, dict(r.columns)["split"]) for r in open_source(file)}
    assert rows["a.h5/train/images/0000003"] == ("1", "train")
    assert rows["a.h5/test_set_x/0000000"] == ("1", "test")


def test_a_feature_file_is_not_a_set_of_images(tmp_path: Path) -> None:
    """A feature file is refused as a source of images."""
    features = write_parts(tmp_path / "f.h5", make_features(4))
    with FeatureWriter(features, make_features(4).specs[0]) as writer:
        writer.finish()
    with pytest.raises(UsageError, match="is a feature file, which holds no images"):
        open_source(features)
    assert not is_image_set(str(features))
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5["images"] = RGB
    assert is_image_set(str(tmp_path / "a.h5"))


def in_other_files(h5: Any) -> None:
    h5.create_dataset("images", RGB.shape, "u1", external=[("/etc/passwd", 0, 2000)])


def virtual(h5: Any) -> None:
    layout = h5py.VirtualLayout(RGB.shape, "u1")
    layout[:] = h5py.VirtualSource("other.h5", "images", RGB.shape)
    h5.create_virtual_dataset("images", layout)


def linked(h5: Any) -> None:
    h5["images"] = h5py.ExternalLink("other.h5", "images")


def without_chunks(h5: Any) -> None:
    h5.create_dataset("images", (1000, 64, 64, 3), "u1", chunks=(1, 64, 64, 3))


def without_data(h5: Any) -> None:
    h5.create_dataset("images", (1000, 64, 64, 3), "u1")


def too_many(h5: Any) -> None:
    h5.create_dataset("images", (10**12, 8, 8), "u1", chunks=(1, 8, 8))


def bomb(h5: Any) -> None:
    h5.create_dataset("images", (3000, 20, 20), "u1", chunks=(3000, 20, 20),
                      compression="gzip", data=np.zeros((3000, 20, 20), "u1"))  # fmt: skip


def looped(h5: Any) -> None:
    h5["a"] = h5.create_group("b")
    h5["b/a"] = h5["b"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (in_other_files, "stores its data in other files"),
        (virtual, "stores its data in other files"),
        (linked, "no array of images"),
        (without_chunks, "missing chunks"),
        (without_data, "missing data"),
        (too_many, "claims 1000000000000 images in 0 bytes"),
        (bomb, "would unpack from"),
        (looped, "no array of images"),
    ],
)
def test_hostile_files_are_one_error(
    file: Path, make: Callable[[Any], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other file is read, and missing data are not filled in."""
    monkeypatch.setattr(hdf5_images, "MAX_UNPACKED", 2**20)
    with h5py.File(file.parent / "other.h5", "w") as h5:
        h5["images"] = RGB
    with h5py.File(file, "w") as h5:
        make(h5)
    with pytest.raises(ClipfeatError, match=message):
        open_source(file)


def write_chunk(dataset: Any, data: bytes) -> None:
    dataset.id.write_direct_chunk((0,) * dataset.ndim, data)


@pytest.mark.parametrize("name", ["images", "labels"])
@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_a_chunk_that_unpacks_to_more_is_refused(file: Path, name: str, compression: str) -> None:
    """A chunk that unpacks to more than its dataset allows is an error."""
    with h5py.File(file, "w") as h5:
        shapes = {"images": (1, 9, 7, 3), "labels": (1,)}
        for one, shape in shapes.items():
            h5.create_dataset(one, shape, "u1", chunks=shape, compression=compression)
            write_chunk(h5[one], zlib.compress(bytes(prod(shape))))
        write_chunk(h5[name], zlib.compress(bytes(2**20)))
    with pytest.raises(ClipfeatError, match=r"a chunk (unpacks to more than|has \d+ bytes)"):
        open_source(file).records[0].reader.read()


def test_two_compressions_are_refused(file: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(RGB.shape)
    properties.set_deflate(9)
    properties.set_deflate(9)
    with h5py.File(file, "w") as h5:
        space = h5py.h5s.create_simple(RGB.shape)
        h5py.h5d.create(h5.id, b"images", h5py.h5t.NATIVE_UINT8, space, properties)
        write_chunk(h5["images"], zlib.compress(zlib.compress(RGB.tobytes())))
    with pytest.raises(RefusedFileError, match="is compressed twice"):
        open_source(file)


def test_damage_is_one_error(file: Path) -> None:
    """A truncated or damaged file opens, or is one error."""
    with h5py.File(file, "w") as h5:
        h5.create_dataset("images", data=RGB, chunks=(1, 9, 7, 3), compression="gzip")
        h5["labels"] = np.arange(5)
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    with pytest.raises(RefusedFileError, match="cannot be read as an HDF5 file"):
        open_source(file)
    data = bytearray(good)
    at = good.rindex(b"\x78\x5e") if b"\x78\x5e" in good else len(good) - 200
    data[at : at + 40] = bytes(40)
    file.write_bytes(data)
    for record in open_source(file):
        try:
            record.reader.read()
        except ReadError:
            break
    else:
        raise AssertionError("the damage was not found")


def test_a_large_image_is_held_twice(file: Path) -> None:
    """Reading holds only the pixels and the PPM file, not the unpacked chunk."""
    pixels = np.zeros((1, 2000, 2000, 3), np.uint8)
    with h5py.File(file, "w") as h5:
        h5.create_dataset("images", data=pixels, chunks=pixels.shape, compression="gzip")
    reader = open_source(file).records[0].reader
    tracemalloc.start()
    try:
        n_bytes = len(reader.read())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_bytes >= pixels.nbytes
    assert peak < 2.3 * pixels.nbytes
