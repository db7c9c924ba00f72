"""Mutated feature files, archives, tables, views and weights end in an error or a result.

Each mutant is read in a fork with limits of 10 s and of memory. `pytest tests/faults --full` reads
400 mutants of each kind.
"""

import os
import random
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save

from clipfeat import load
from clipfeat.embedding.views import read_views
from clipfeat.errors import ClipfeatError, ReadError
from clipfeat.images import open_source
from clipfeat.store import verify
from tests.faults.conftest import make_images, start_clipfeat
from tests.faults.forking import exit_code
from tests.images.test_parquet_images import write
from tests.images.test_sources import write_tar
from tests.images.test_zip_archive import write_zip

SECONDS = 10
MEMORY = 4 * 2**30
"""Address space in addition to that of the parent. Arrow reserves 1 GiB of it."""
CLEAN, UNCHANGED, TRACEBACK = 11, 0, 12

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
    from clipfeat.encoders.encoder_options import EncoderOptions
    from clipfeat.encoders.registry import open_encoder

    open_encoder("timm:test_vit", EncoderOptions(weights=str(path), device="cpu"))


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "feature file": (".h5", read_feature_file),
    "tar": (".tar", read_images),
    "zip": (".zip", read_images),
    "parquet": (".parquet", read_images),
    "table": (".csv", lambda path: list(open_source(str(path)))),
    "views": (".yaml", lambda path: read_views(str(path))),
    "weights": (".safetensors", read_weights),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    make_images(folder / "images", 6)
    run = start_clipfeat(
        "embed", "images", "out.h5", "-e", "spectrum", "--device", "cpu", cwd=folder
    )
    run.communicate(timeout=120)
    contents = {f"{i}.{suffix}": b"1" for i in range(4) for suffix in ("png", "json")}
    tar = write_tar(folder / "x.tar", contents)
    archive = Path(write_zip(folder / "x.zip", contents | {"labels.csv": b"id,label\n1,a\n"}, 8))
    images = pa.array([{"bytes": b"%d" % i, "path": f"{i}.png"} for i in range(9)])
    shard = write(folder / "x.parquet", {"image": images, "label": ["a", "b", None] * 3})
    rows = b"".join(b"images/%d.png,real,g%d\n" % (i, i % 3) for i in range(20))
    return {
        "feature file": (folder / "out.h5").read_bytes(),
        "tar": tar.read_bytes(),
        "zip": archive.read_bytes(),
        "parquet": Path(shard).read_bytes(),
        "table": b"path,label,group\n" + rows,
        "views": VIEWS,
        "weights": save({"w": np.zeros((2, 3), dtype=np.float32)}),
    }


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change, remove, insert and repeat bytes. Checksums of tar headers are computed again."""
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


def read_within_limits(kind: str, path: Path) -> None:
    """Read a file within limits, and exit with a code."""
    code = TRACEBACK
    try:
        signal.alarm(SECONDS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
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
        os._exit(code)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork and /proc")
@pytest.mark.parametrize("kind", READERS)
def test_mutants_end_in_an_error_or_a_result(
    kind: str, originals: dict[str, bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """No traceback, crash or hang, and no file beside the mutant."""
    suffix, _ = READERS[kind]
    rng = random.Random(17)
    file = tmp_path / f"mutant{suffix}"
    for number in range(400 if request.config.getoption("--full") else 20):
        file.write_bytes(mutate(originals[kind], rng))
        code = exit_code(read_within_limits, kind, file)
        assert code in (CLEAN, UNCHANGED), f"mutant {number} of {kind} ended with {code}"
        assert [path.name for path in tmp_path.iterdir()] == [file.name]
