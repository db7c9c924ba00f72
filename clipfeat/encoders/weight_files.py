"""Checks of files of weights, before a library reads them.

The checks use the sizes and the instructions that a file states, and read no tensor. They refuse
files that the libraries would read: a ``.pt`` or ``.npz`` file whose compressed members do not fit
into memory, a ``.pt`` file whose pickle allocates gigabytes, and a safetensors file with millions
of empty tensors.
"""

import io
import json
import math
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from clipfeat.system.files import check_unpacked_size

MAX_SAFETENSORS_HEADER = 2**23
MAX_TENSORS = 2**15
MAX_PICKLE, MAX_INSTRUCTIONS = 2**24, 400_000
"""Maximum size of a pickle in bytes, and maximum number of its instructions. A tensor takes about
40 instructions."""
MAX_TUPLE_DEPTH, MAX_TUPLE_SIZE = 10, 100_000
MAX_RECORDS = 100_000
N_LEGACY_PICKLES = 5
"""Number of pickles at the start of a ``.pt`` file that is not a zip archive."""
_GLOBALS = frozenset({
    ("argparse", "Namespace"),
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_parameter_with_state"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
})  # fmt: skip
"""Functions and classes that a pickle of weights may contain, besides storages and dtypes.
`torch.load` also allows `bytearray`, which can allocate any number of bytes."""
_REFUSED = frozenset({
    "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ_EX", "PERSID", "EXT1", "EXT2", "EXT4", "FROZENSET",
})  # fmt: skip
"""Instructions that weights do not need."""


def check_weight_file(path: str | Path) -> None:
    """Check a file of weights.

    Parameters
    ----------
    path : path
        A safetensors file, a ``.pt`` file, or an ``.npz`` file. Other files are not checked.

    Raises
    ------
    ValueError
        If the sizes in the file contradict each other or the file's size, or if a pickle contains
        anything except tensors and plain values.
    zipfile.BadZipFile
        If an archive is damaged.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        if path.suffix == ".safetensors":
            _check_safetensors(file, size)
        elif file.read(4) == b"PK\3\4":
            _check_archive(file, size)
        elif path.suffix not in (".npy", ".npz"):
            file.seek(0)
            _check_pickles(file, N_LEGACY_PICKLES)


def _check_safetensors(file: IO[bytes], size: int) -> None:
    n_header = int.from_bytes(file.read(8), "little")
    if not 0 < n_header <= min(MAX_SAFETENSORS_HEADER, size - 8):
        raise ValueError(f"its header has {n_header} bytes, but the file has {size}")
    try:
        header = json.loads(file.read(n_header))
    except RecursionError as error:
        raise ValueError("its header is nested too deeply") from error
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    if len(header) > MAX_TENSORS:
        raise ValueError(f"it has {len(header)} tensors, more than {MAX_TENSORS}")
    ranges = [_range_of(name, about) for name, about in header.items() if name != "__metadata__"]
    end = 0
    for begin, after in sorted(ranges):
        if begin != end:
            raise ValueError("its tensors overlap or have gaps")
        end = after
    if end != size - 8 - n_header:
        raise ValueError(
            f"its header describes {end} bytes of tensors, but the file has {size - 8 - n_header}"
        )


def _range_of(name: str, about: Any) -> tuple[int, int]:
    """Return where the bytes of a tensor begin and end, after a check against its shape."""
    fields = about if isinstance(about, dict) else {}
    shape: Any = fields.get("shape")
    offsets: Any = fields.get("data_offsets")
    are_lists = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
    if not are_lists or not all(type(n) is int and 0 <= n < 2**48 for n in [*shape, *offsets]):
        raise ValueError(f"tensor {name[:80]!r} has no valid shape or offsets")
    begin, end = offsets
    # A value has at least one bit and at most 16 bytes.
    if not math.prod(shape) <= 8 * (end - begin) <= 128 * math.prod(shape):
        raise ValueError(f"tensor {name[:80]!r} has {end - begin} bytes for the shape {shape}")
    return begin, end


def _check_archive(file: IO[bytes], size: int) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MAX_RECORDS:
            raise ValueError(f"it has {len(members)} members, more than {MAX_RECORDS}")
        check_unpacked_size(members, size)
        pickles = [info for info in members if Path(info.filename).name == "data.pkl"]
        if not pickles:  # an .npz file
            return
        if any(info.compress_type != zipfile.ZIP_STORED for info in members):
            raise ValueError("it has compressed members, which torch.save does not write")
        for info in pickles:
            with archive.open(info) as pickle:
                _check_pickles(pickle, 1)


def _check_pickles(file: IO[bytes], n: int) -> None:
    """Check that pickles create nothing except tensors and plain values, without running them."""
    data = io.BytesIO(file.read(MAX_PICKLE))  # reading single bytes of an archive is slow
    for _ in range(n):
        _check_pickle(data)


@dataclass(slots=True)
class _Value:
    """A value on the stack of a pickle.

    Parameters
    ----------
    kind : str
        ``"function"`` for an entry of `_GLOBALS`, ``"type"`` for a storage or a dtype, ``"tuple"``,
        or ``"plain"``.
    depth, size : int
        Depth of nested tuples, and number of values if each tuple is written out. Both are 0 for
        other values.
    """

    kind: str = "plain"
    depth: int = 0
    size: int = 0


def _check_pickle(file: IO[bytes]) -> None:
    """Check the instructions of a pickle on a stack of kinds of values.

    A tuple may contain another tuple twice. Nested tuples can therefore describe more values than
    Python can ever hash or print. Python also crashes when it hashes tuples that are nested too
    deeply.
    """
    stack: list[_Value | None] = []  # None is a mark
    memo: dict[int, _Value] = {}
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if number >= MAX_INSTRUCTIONS:
            raise ValueError(f"its pickle has more than {MAX_INSTRUCTIONS} instructions")
        name = opcode.name
        if name in _REFUSED:
            raise ValueError(f"its pickle contains the instruction {name}")
        if "GET" in name or "PUT" in name or name == "MEMOIZE":
            _use_memo(name, argument, stack, memo)
            continue
        values = _popped(stack, opcode)
        if name == "GLOBAL":
            module, _, function = str(argument).partition(" ")
            if not _is_allowed(module, function):
                raise ValueError(f"its pickle contains {module}.{function}"[:120])
            is_function = (module, function) in _GLOBALS
            stack.append(_Value("function" if is_function else "type"))
        elif name in ("REDUCE", "NEWOBJ") and values[0].kind != "function":
            raise ValueError("its pickle calls a value that is not a function")
        elif name == "BINPERSID" and values[0].depth != 1:
            raise ValueError("its pickle has a nested reference to a storage")
        elif "TUPLE" in name:
            depth = 1 + max((value.depth for value in values), default=0)
            size = 1 + sum(value.size or 1 for value in values)
            if depth > MAX_TUPLE_DEPTH or size > MAX_TUPLE_SIZE:
                raise ValueError("its pickle has tuples that are nested too deeply")
            stack.append(_Value("tuple", depth, size))
        else:
            is_mark = opcode.stack_after == [pickletools.markobject]
            stack += [None if is_mark else _Value() for _ in opcode.stack_after]


def _use_memo(
    name: str, argument: Any, stack: list[_Value | None], memo: dict[int, _Value]
) -> None:
    if "GET" not in name:
        memo[len(memo) if name == "MEMOIZE" else int(argument)] = _top(stack)
    elif int(argument) in memo:
        stack.append(memo[int(argument)])
    else:
        raise ValueError("its pickle reads a value that does not exist")


def _top(stack: list[_Value | None]) -> _Value:
    if not stack or stack[-1] is None:
        raise ValueError("its pickle reads a value that does not exist")
    return stack[-1]


def _popped(stack: list[_Value | None], opcode: pickletools.OpcodeInfo) -> list[_Value]:
    """Remove the values that an instruction takes from the stack, and return them in order."""
    taken: list[_Value] = []
    n = len(opcode.stack_before)
    if pickletools.markobject in opcode.stack_before:
        n = opcode.stack_before.index(pickletools.markobject)
        while stack and stack[-1] is not None:
            taken.append(_top(stack))
            stack.pop()
        if not stack:
            raise ValueError("its pickle has no mark")
        stack.pop()
    for _ in range(n):
        taken.append(_top(stack))
        stack.pop()
    return taken[::-1]


def _is_allowed(module: str, name: str) -> bool:
    if (module, name) in _GLOBALS:
        return True
    if module in ("torch", "torch.storage") and name.endswith("Storage"):
        return True
    return module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
