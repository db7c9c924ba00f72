"""Tests that hostile containers are refused before their data is read."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clipfeat.model.container import (
    DamagedModelError,
    parse_arrays,
    parse_description,
    read_container,
    write_container,
)

ARRAYS = {"a": np.arange(6, dtype=np.float64).reshape(2, 3), "b": np.zeros(0, np.int32)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.clipfeat"
    write_container(path, {"a": 1}, ARRAYS)
    return path


def test_a_round_trip(path: Path) -> None:
    """Values, types and shapes are kept, even those of an empty array."""
    description, arrays = read_container(path)
    assert description == {"a": 1}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array)
        arrays[name][...] = 1  # compiled code needs arrays that it may change


def write_zip(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)


HOSTILE: dict[str, Callable[[Path, bytes], object]] = {
    "is compressed": lambda path, arrays: write_zip(
        path,
        ("model.json", b"{}" * 999),
        ("arrays.safetensors", arrays),
        method=zipfile.ZIP_DEFLATED,
    ),
    "lists 3 members": lambda path, arrays: write_zip(
        path, ("model.json", b"{}"), ("arrays.safetensors", arrays), ("../../evil", b"")
    ),
    "its members are not": lambda path, arrays: write_zip(
        path, ("arrays.safetensors", arrays), ("model.json", b"{}")
    ),
    "does not end in a zip directory": lambda path, arrays: path.write_bytes(
        path.read_bytes() + b"more"
    ),
    "is not where the zip directory says": lambda path, arrays: path.write_bytes(
        b"more" + path.read_bytes()
    ),
    "is larger than 16,777,216 bytes": lambda path, arrays: write_zip(
        path, ("model.json", bytes(20_000_000)), ("arrays.safetensors", arrays)
    ),
    "does not match its checksum": lambda path, arrays: path.write_bytes(
        path.read_bytes().replace(struct.pack("<d", 5.0), struct.pack("<d", 6.0))
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("message", HOSTILE)
def test_hostile_archives(message: str, path: Path) -> None:
    """Bombs, additional or reordered members, and stray bytes are refused."""
    with zipfile.ZipFile(path) as archive:
        arrays = archive.read("arrays.safetensors")
    HOSTILE[message](path, arrays)
    with pytest.raises(DamagedModelError, match=message):
        read_container(path)


@pytest.mark.parametrize(
    "text",
    ["[]", "", "{", "NaN", '{"a": NaN}', '{"a": 1, "a": 2}', '{"a": "\\ud800"}', "[" * 100_000,
     '{"a": 1' + "0" * 5000 + "}", '{"a": 1' + "0" * 20 + "}", '{"a": -1e999}'],
    ids=range(11),
)  # fmt: skip
def test_hostile_json(text: str) -> None:
    """Deep nesting, huge numbers, lone surrogates and other invalid JSON raise one error."""
    with pytest.raises(DamagedModelError):
        parse_description(text.encode())


def arrays_with(header: object, n_bytes: int = 8) -> np.ndarray:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    data = len(text).to_bytes(8, "little") + text + bytes(n_bytes)
    return np.frombuffer(data, dtype=np.uint8)


@pytest.mark.parametrize(
    ("message", "header"),
    [
        ("has 8 bytes, which do not fit", {"a": ("F64", [10**9, 10**9], [0, 8])}),
        ("no valid shape", {"a": ("F64", [-1], [0, 8])}),
        ("no valid shape", {"a": ("F64", [2**60, 2**60], [0, 8])}),
        ("no valid shape", {"a": ("F64", [1.0], [0, 8])}),
        ("type 'BF16'", {"a": ("BF16", [4], [0, 8])}),
        ("ends after the data", {"a": ("F64", [2], [0, 16])}),
        ("overlap or have gaps", {"a": ("F64", [1], [0, 8]), "b": ("F32", [1], [4, 8])}),
        ("overlap or have gaps", {"a": ("F32", [1], [4, 8])}),
        ("has -8 bytes, which do not fit", {"a": ("F64", [2], [8, 0])}),
        ("which do not fit", {"a": ("U8", [1], [0, 1]), "b": ("F32", [1], [1, 5])}),
    ],
)
def test_hostile_arrays(message: str, header: dict[str, tuple[str, list[int], list[int]]]) -> None:
    """Invalid offsets, shapes and types are refused before an array is created."""
    named = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        for name, (dtype, shape, offsets) in header.items()
    }
    with pytest.raises(DamagedModelError, match=message):
        parse_arrays(arrays_with(named))
