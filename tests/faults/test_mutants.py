"""Tests that mutated files of every kind end in an error or a result.

Feature files, archives, tables, views and weights are mutated. Each mutant is read in a fork with
limits of 10 s of processor time and 1 GiB of memory. `pytest tests/faults --full` reads 100 mutants
of each kind. With the model files of `test_model_fuzz`, these are 2,100 cases.
"""

import io
import os
import random
import resource
import signal
import struct
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import save

from clipfeat import load
from clipfeat.embedding.pipeline import embed
from clipfeat.embedding.views import read_views
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import ClipfeatError, ReadError
from clipfeat.images import open_source
from clipfeat.store import verify
from tests.encoders.tiny_onnx import write_face_net
from tests.faults.conftest import make_images
from tests.faults.forking import exit_code
from tests.images.test_parquet_images import write
from tests.images.test_sources import write_tar
from tests.images.test_zip_archive import write_zip

SECONDS, WALL_SECONDS = 10, 100
"""Limits of processor time, and of time on a machine that has other work."""
MEMORY, ADDRESS_SPACE = 2**30, 4 * 2**30
"""Memory in addition to that of the parent. Arrow reserves 1 GiB of address space and uses none."""
CLEAN, UNCHANGED, TRACEBACK, HUNGRY = 11, 0, 12, 13
N_FULL, N_FAST = 100, 12

VIEWS = b"""phone:
  - RandomResizedCrop: {size: [256, 256], scale: [0.5, 1.0]}
  - JPEG: {quality: [60, 90]}
small:
  - Scale: {factor: 0.5}
"""
TOKENS = [b"!!python/object/apply:os.system ['touch owned']", b"&a [*a]", b"Lambda", b"1e999",
          b"A.x", b"Pad: {padding: 1000000000}", b"[" * 5000, b"null"]  # fmt: skip


def read_images(path: Path) -> None:
    for record in open_source(str(path)):
        with suppress(ReadError):
            record.reader.read()


def read_feature_file(path: Path) -> None:
    load(path)
    verify(path)


def read_weights(path: Path) -> None:
    from clipfeat.encoders.registry import open_encoder

    open_encoder("timm:test_vit", EncoderOptions(weights=str(path), device="cpu"))


def read_torch_weights(path: Path) -> None:
    from clipfeat.encoders.registry import open_encoder

    open_encoder("timm:test_vit", EncoderOptions(weights=str(path), device="cpu"))


def read_onnx(path: Path) -> None:
    from clipfeat.encoders import onnx_trial
    from clipfeat.encoders.registry import open_encoder

    onnx_trial.SECONDS, onnx_trial.MEMORY = SECONDS, MEMORY
    arguments = {"mean": 0.5, "std": 0.5}
    open_encoder(f"onnx:{path}", EncoderOptions(device="cpu", arguments=arguments))


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "feature file": (".h5", read_feature_file),
    "tar": (".tar", read_images),
    "zip": (".zip", read_images),
    "parquet": (".parquet", read_images),
    "table": (".csv", lambda path: list(open_source(str(path)))),
    "Parquet table": (".parquet", lambda path: list(open_source(str(path)))),
    "images of an array": (".npz", read_images),
    "views": (".yaml", lambda path: read_views(str(path))),
    "weights": (".safetensors", read_weights),
    "torch weights": (".pt", read_torch_weights),
    "ONNX": (".onnx", read_onnx),
    "ONNX with external data": (".onnx", read_onnx),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    make_images(folder / "images", 6)
    options = EncoderOptions(device="cpu")
    embed(folder / "images", folder / "out.h5", encoder="spectrum", options=options)
    contents = {f"{i}.{suffix}": b"1" for i in range(4) for suffix in ("png", "json")}
    tar = write_tar(folder / "x.tar", contents)
    archive = Path(write_zip(folder / "x.zip", contents | {"labels.csv": b"id,label\n1,a\n"}, 8))
    images = pa.array([{"bytes": b"%d" % i, "path": f"{i}.png"} for i in range(9)])
    shard = write(folder / "x.parquet", {"image": images, "label": ["a", "b", None] * 3})
    rows = b"".join(b"images/%d.png,real,g%d\n" % (i, i % 3) for i in range(20))
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(50)], "label": ["cat", "dog"] * 25})
    table.to_parquet(folder / "table.parquet")
    np.savez(folder / "x.npz", x=np.zeros((5, 8, 8, 3), np.uint8), y=np.arange(5))
    torch.save({"w": torch.ones(2, 3), "b": [torch.zeros(3)]}, folder / "x.pt")
    write_face_net(folder / "x.onnx")
    write_face_net(folder / "external.onnx", outside="face.data")
    return {
        "feature file": (folder / "out.h5").read_bytes(),
        "tar": tar.read_bytes(),
        "zip": archive.read_bytes(),
        "parquet": Path(shard).read_bytes(),
        "table": b"path,label,group\n" + rows,
        "views": VIEWS,
        "weights": save({"w": np.zeros((2, 3), dtype=np.float32)}),
        "Parquet table": (folder / "table.parquet").read_bytes(),
        "images of an array": (folder / "x.npz").read_bytes(),
        "torch weights": (folder / "x.pt").read_bytes(),
        "ONNX": (folder / "x.onnx").read_bytes(),
        "ONNX with external data": (folder / "external.onnx").read_bytes(),
        "face.data": (folder / "face.data").read_bytes(),
    }


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change, remove, insert and repeat bytes. Checksums of tar headers are updated."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 50])):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del changed[place : place + rng.randrange(1, 9)]
            case 2:
                changed[place:place] = rng.choice(TOKENS)
            case 3:
                changed[place : place + 8] = struct.pack("<q", rng.choice([-1, 2**31, 2**62]))
            case 4:
                changed[place : place + 12] = b"\xff" * 12
    for start in range(0, len(changed) - 512, 512):
        if changed[start + 257 : start + 262] == b"ustar":
            changed[start + 148 : start + 156] = b" " * 8
            total = sum(changed[start : start + 512])
            changed[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(changed)


def mutate_member(data: bytes, rng: random.Random) -> bytes:
    """Change the contents of one member of a zip archive, and keep all checksums valid."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(changed, "w") as copy:
        chosen = rng.choice(archive.namelist())
        for name in archive.namelist():
            content = archive.read(name)
            copy.writestr(name, mutate(content, rng) if name == chosen else content)
    return changed.getvalue()


def read_within_limits(kind: str, path: Path) -> None:
    """Read a file within limits, and exit with a code."""
    code = TRACEBACK
    try:
        signal.alarm(WALL_SECONDS)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        pages, resident = map(int, Path("/proc/self/statm").read_text().split()[:2])
        limit = pages * resource.getpagesize() + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        warnings.simplefilter("ignore")
        os.chdir(path.parent)
        READERS[kind][1](path)
        code = UNCHANGED
    except (ClipfeatError, OSError):
        code = CLEAN
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if peak - resident * resource.getpagesize() > MEMORY:
            code = HUNGRY
        os._exit(code)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork and /proc")
@pytest.mark.parametrize("kind", READERS)
def test_mutants_end_in_an_error_or_a_result(
    kind: str, originals: dict[str, bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """No mutant causes a traceback, a crash, a hang or a new file."""
    suffix, _ = READERS[kind]
    rng = random.Random(17)
    file = tmp_path / f"mutant{suffix}"
    expected = {file.name}
    if kind == "ONNX with external data":
        expected.add("face.data")
        (tmp_path / "face.data").write_bytes(originals["face.data"])
    is_archive = suffix in (".zip", ".npz", ".pt")
    file.write_bytes(originals[kind])
    # The weights have no tensors of the encoder.
    original = CLEAN if kind.endswith("weights") else UNCHANGED
    assert exit_code(read_within_limits, kind, file) == original
    counts: Counter[int] = Counter()
    for number in range(N_FULL if request.config.getoption("--full") else N_FAST):
        change = mutate_member if is_archive and number % 2 else mutate
        file.write_bytes(change(originals[kind], rng))
        code = exit_code(read_within_limits, kind, file)
        counts[code] += 1
        assert code in (CLEAN, UNCHANGED), f"mutant {number} of {kind} ended with {code}"
        assert {path.name for path in tmp_path.iterdir()} == expected
    print(f"{kind}: {counts[CLEAN]} errors, {counts[UNCHANGED]} results")  # noqa: T201
