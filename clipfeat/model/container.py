"""Read and write the container of a model file. See `clipfeat.model.format`.

All sizes that the file states are checked before the data are read. General readers accept more
layouts than the format allows, so this module checks the zip and safetensors structures itself.
"""

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatError
from clipfeat.model.format import (
    ARRAYS,
    DESCRIPTION,
    MAX_ARRAYS_HEADER,
    MAX_DESCRIPTION,
    MEMBERS,
)
from clipfeat.system.json_numbers import json_float, json_integer

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}
"""Types of arrays by their names in safetensors."""
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_DIRECTORY = 1024
"""Largest size of the zip directory of two members."""


class DamagedModelError(ClipfeatError, ValueError):
    """Error for content that violates the format. `load_model` adds the name of the file."""


def write_container(
    path: Path, description: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write a new file with the description and the arrays.

    Parameters
    ----------
    path : Path
        Path of the new file.
    description : mapping
        Content of ``model.json``.
    arrays : mapping of str to ndarray
        Arrays by name.
    """
    from safetensors.numpy import save

    text = json.dumps(description, indent=1, allow_nan=False).encode()
    if len(text) > MAX_DESCRIPTION:
        raise ClipfeatError(
            f"the description of the model has {len(text):,} bytes, but a model file can hold only "
            f"{MAX_DESCRIPTION:,}. Fit on fewer classes"
        )
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(DESCRIPTION), text)
        archive.writestr(zipfile.ZipInfo(ARRAYS), save(dict(arrays)))


def read_container(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read the description and the arrays of a file.

    Returns
    -------
    description : dict
        Content of ``model.json``.
    arrays : dict of str to ndarray
        Arrays by name. They are writable views of one buffer.

    Raises
    ------
    DamagedModelError
        If the file violates the format.
    """
    with path.open("rb") as file:
        places = _member_places(file, path.stat().st_size)
        text = _read_member(file, places[DESCRIPTION])
        data = _read_member(file, places[ARRAYS])
    return parse_description(text.tobytes()), parse_arrays(data)


def _member_places(file: BinaryIO, size: int) -> dict[str, tuple[int, int, int]]:
    """Check the zip structure. Return the position, the size and the CRC-32 of each member."""
    _check_directory_size(file, size)
    with zipfile.ZipFile(file) as archive:
        infos, begin = archive.infolist(), 0
        if tuple(info.filename for info in infos) != MEMBERS:
            raise DamagedModelError(f"its members are not {' and '.join(MEMBERS)}")
        places = {}
        for info, limit in zip(infos, (MAX_DESCRIPTION, size), strict=True):
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise DamagedModelError(
                    f"{info.filename} is compressed, but the members of a model file are not"
                )
            if info.file_size > limit or info.flag_bits & ~0x808:
                raise DamagedModelError(
                    f"{info.filename} is larger than {limit:,} bytes or has unknown flags: "
                    f"{info.file_size:,} bytes, flags {info.flag_bits:#x}"
                )
            file.seek(begin)
            local = _LOCAL.unpack(file.read(_LOCAL.size).ljust(_LOCAL.size, b"\0"))
            start = begin + _LOCAL.size + local[9] + local[10]
            end = start + info.file_size
            if local[0] != b"PK\3\4" or info.header_offset != begin or end > archive.start_dir:
                raise DamagedModelError(f"{info.filename} is not where the zip directory says")
            if file.read(local[9]) != info.filename.encode():
                raise DamagedModelError(f"{info.filename} has another name in its own header")
            places[info.filename] = (start, info.file_size, info.CRC)
            begin = end
        if begin != archive.start_dir:
            raise DamagedModelError(
                f"there are {archive.start_dir - begin:,} bytes after the members"
            )
    return places


def _check_directory_size(file: BinaryIO, size: int) -> None:
    """Check that the file ends in a zip directory of two members, before `zipfile` reads it."""
    tail = _END.size + _LOCATOR.size + _END64.size
    file.seek(max(size - tail, 0))
    data = file.read(tail).rjust(tail, b"\0")
    mark, _, _, n_here, n_members, n_bytes, _, n_comment = _END.unpack(data[-_END.size :])
    if mark != b"PK\5\6":
        raise DamagedModelError("it does not end in a zip directory")
    counts = {(n_here, n_members)}
    if data[_END64.size :].startswith(b"PK\6\7"):
        fields = _END64.unpack(data[: _END64.size])
        if fields[0] != b"PK\6\6":
            raise DamagedModelError("the zip directory is not at the end of the file")
        counts.add((fields[6], fields[7]))
        n_bytes = max(fields[8], n_bytes if n_bytes != 0xFFFFFFFF else 0)
    expected = len(MEMBERS)
    if counts != {(expected, expected)} or n_bytes > _MAX_DIRECTORY or n_comment:
        raise DamagedModelError(
            f"its zip directory lists {n_members} members in {n_bytes:,} bytes, expected {expected}"
        )


def _read_member(file: BinaryIO, place: tuple[int, int, int]) -> NDArray[np.uint8]:
    start, size, crc = place
    data = np.empty(size, dtype=np.uint8)
    file.seek(start)
    if file.readinto(data.data) != size or zlib.crc32(data.data) != crc:  # type: ignore[attr-defined]
        raise DamagedModelError("a member does not match its checksum")
    return data


def parse_description(text: bytes) -> dict[str, Any]:
    """Parse ``model.json``: an object without repeated names, NaN, infinity or lone surrogates."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise DamagedModelError("a JSON object has two fields of the same name")
        return fields

    def refuse(constant: str) -> None:
        raise DamagedModelError(f"its JSON contains {constant}")

    try:
        parsed = json.loads(
            text.decode(),
            object_pairs_hook=unique,
            parse_constant=refuse,
            parse_int=json_integer,
            parse_float=json_float,
        )
        if "\\u" in text.decode():  # an escape may be half of a surrogate pair
            json.dumps(parsed, ensure_ascii=False).encode()
    except DamagedModelError:
        raise
    except (ValueError, RecursionError) as error:  # includes UnicodeError
        raise DamagedModelError(f"{DESCRIPTION} is not valid JSON ({error})") from None
    if not isinstance(parsed, dict):
        raise DamagedModelError(f"{DESCRIPTION} is not a JSON object")
    return parsed


def parse_arrays(data: NDArray[np.uint8]) -> dict[str, Array]:
    """Parse ``arrays.safetensors``. The arrays are views of `data`.

    Raises
    ------
    DamagedModelError
        If the type of an array is not in `DTYPES`, if the size of an array does not match its
        shape, or if the arrays overlap or leave gaps in the data.
    """
    n_header = int.from_bytes(data[:8].tobytes(), "little") if len(data) >= 8 else -1
    if not 0 < n_header <= min(MAX_ARRAYS_HEADER, len(data) - 8) or n_header % 8:
        raise DamagedModelError(
            f"{ARRAYS} has a header of {n_header:,} bytes, which is an invalid size"
        )
    header = parse_description(data[8 : 8 + n_header].tobytes())
    values = data[8 + n_header :]
    arrays, ranges = {}, []
    for name, about in header.items():
        if not isinstance(about, dict) or about.keys() != {"dtype", "shape", "data_offsets"}:
            raise DamagedModelError(
                f"array {name!r} has other fields than dtype, shape and offsets"
            )
        dtype = DTYPES.get(str(about["dtype"]))
        shape = about["shape"]
        begin, end = _whole_numbers(name, about["data_offsets"], 2)
        shape = _whole_numbers(name, shape, len(shape) if isinstance(shape, list) else 0)
        if dtype is None or len(shape) > 3:
            raise DamagedModelError(
                f"array {name!r} has type {about['dtype']!r} and {len(shape)} dimensions, expected "
                f"one of {', '.join(DTYPES)} and at most 3 dimensions"
            )
        if end - begin != math.prod(shape) * dtype.itemsize or begin % dtype.itemsize:
            raise DamagedModelError(
                f"array {name!r} has {end - begin} bytes, which do not fit the shape {shape}"
            )
        ranges.append((begin, end))
        if end > len(values):
            raise DamagedModelError(f"array {name!r} ends after the data")
        arrays[name] = values[begin:end].view(dtype).reshape(shape)
    ranges.sort()
    bounds = [0, *(bound for pair in ranges for bound in pair), len(values)]
    if bounds[::2] != bounds[1::2]:
        raise DamagedModelError(f"the arrays of {ARRAYS} overlap or have gaps")
    return arrays


def _whole_numbers(name: str, values: Any, n: int) -> list[int]:
    if (
        not isinstance(values, list)
        or len(values) != n
        or not all(type(value) is int and 0 <= value < 2**48 for value in values)
    ):
        raise DamagedModelError(f"array {name!r} has no valid shape or offsets")
    return values
