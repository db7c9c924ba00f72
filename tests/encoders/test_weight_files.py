"""Tests of hostile weights files, each of which is an error before memory is allocated."""

import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.weight_files import check_weight_file
from clipfeat.errors import WeightsError

STATE = OrderedDict(
    w=torch.ones(3, 4),
    b=torch.zeros(3, dtype=torch.float16),
    n=torch.tensor(5),
    none=torch.ones(0, 2),
)


def tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_file(header: Any, data: bytes = bytes(48)) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


SAFETENSORS = {
    "huge header": (struct.pack("<Q", 2**62) + b"{}", "header has 4611686018427387904 bytes"),
    "many tensors": (
        safetensors_file({str(i): tensor([0], 0, 0) for i in range(150_000)}, b""), "header has"),
    "overlap": (
        safetensors_file({"a": tensor([12], 0, 48), "b": tensor([6], 24, 48)}), "overlap or have"),
    "gap": (safetensors_file({"a": tensor([2], 8, 16)}, bytes(16)), "overlap or have gaps"),
    "shape": (safetensors_file({"a": tensor([2**40], 0, 48)}), "'a' has 48 bytes for the shape"),
    "no shape": (safetensors_file({"a": tensor([0], 0, 48)}), "'a' has 48 bytes for the shape"),
    "negative": (safetensors_file({"a": tensor([-1, -12], 0, 48)}), "no valid shape"),
    "backwards": (safetensors_file({"a": tensor([12], 48, 0)}), "'a' has -48 bytes"),
    "behind the end": (safetensors_file({"a": tensor([24], 0, 96)}), "96 bytes of .* 48"),
    "deep": (struct.pack("<Q", 2**16) + b"[" * 2**16, "nested too deeply"),
    "list": (safetensors_file([1]), "not a JSON object"),
    "other fields": (safetensors_file({"a": 1}), "no valid shape or offsets"),
    "tensors": (
        safetensors_file({str(i): tensor([0], 0, 0) for i in range(40_000)}, b""), "40000 tensors"),
    "type": (safetensors_file({"a": tensor([12], 0, 48, "os.system")}), "os.system"),
    "empty": (b"", "header has 0 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAFETENSORS)
def test_hostile_safetensors_files(case: str, tmp_path: Path) -> None:
    data, message = SAFETENSORS[case]
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=rf"w.safetensors does not contain .*{message}"):
        open_encoder(
            "timm:test_vit", EncoderOptions(weights=str(tmp_path / "w.safetensors"), device="cpu")
        )


class Calls:
    """Object whose pickle calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def saved(path: Path, value: Any, *, is_zip: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=is_zip)
    return path


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize(
    ("call", "message"),
    [(Calls(bytearray, 2**34), "bytearray"), (Calls(print, "x"), "print"),
     (Calls(torch.zeros, 2**34), "getattr")],
    ids=["bytearray", "print", "zeros"],
)  # fmt: skip
def test_pickles_that_call_functions(
    call: Calls, message: str, is_zip: bool, tmp_path: Path
) -> None:
    """Pickles that call `bytearray`, which `torch.load` allows, are refused."""
    path = saved(tmp_path / "w.pt", {"a": call}, is_zip=is_zip)
    with pytest.raises(WeightsError, match=rf"w.pt does not contain .*{message}"):
        open_encoder("open_clip:RN50", EncoderOptions(weights=str(path), device="cpu"))


NESTED = {
    "deep": b"}" + b")" + b"\x85" * 1000 + b"K\1s.",
    "doubling": b"})" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60)) + b"K\1s.",
    "call": b"})" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(8)) + b")R.",
    "storage": b"ctorch\nFloatStorage\n(\x8a\x05\0\0\0\0\1tR.",
    "reference": b"(X\7\0\0\0storage)\x85tQ.",
    "long": b"(" + b"]" * 2**19 + b"l.",
    "unknown": b"h\0.",
}


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("case", NESTED)
def test_pickles_that_take_hours_or_crash(case: str, is_zip: bool, tmp_path: Path) -> None:
    """Nested tuples that `torch.load` would expand exponentially are refused."""
    path, content = tmp_path / "w.pt", b"\x80\2" + NESTED[case]
    if is_zip:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w/data.pkl", content)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="its pickle"):
        check_weight_file(path)


def test_an_archive_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    for name, member in (("w.pt", "w/data.pkl"), ("w.npz", "a.npy")):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, bytes(1000))
            archive.filelist[0].file_size = 2**30  # in the directory
        with pytest.raises(ValueError, match="would unpack to 1073741824 bytes"):
            check_weight_file(path)


def test_compressed_and_lying_members(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", pickle.dumps({}))
    with pytest.raises(ValueError, match=r"torch.save does not write"):
        check_weight_file(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", pickle.dumps({}, 4))
        archive.filelist[0].file_size = archive.filelist[0].compress_size = 2**27
    with pytest.raises(ValueError, match="a stored member claims 134217728 bytes"):
        check_weight_file(path)


@pytest.mark.parametrize("is_zip", [True, False])
def test_files_that_torch_writes_pass(is_zip: bool, tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    values = [
        STATE,
        model.state_dict(),
        {"state_dict": dict(model.named_parameters()), "epoch": 3, "lr": 1e-3, "name": "x"},
        {"optimizer": torch.optim.AdamW(model.parameters()).state_dict()},
    ]
    for value in values:
        check_weight_file(saved(tmp_path / "w.pt", value, is_zip=is_zip))


def test_other_files_pass(tmp_path: Path) -> None:
    save_file(dict(STATE), tmp_path / "w.safetensors", metadata={"format": "pt"})
    np.savez(tmp_path / "w.npz", a=np.ones(3))
    np.save(tmp_path / "w.npy", np.ones(3))
    for path in tmp_path.iterdir():
        check_weight_file(path)
