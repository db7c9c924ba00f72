"""Extrapolated cost of ten million and of a billion images, from the measured cost of a row.

``python benchmarks/at_scale.py --rows 400000`` commits rows of random features in parts and merges
them into shards, like a run, and reads them again, like `fit`. It measures seconds, bytes on disk
and bytes of memory per row, and multiplies them. The number of GPUs and cores and their images per
second are not measured and are arguments.
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from clipfeat.images.readers import FileBytes
from clipfeat.images.record import ImageRecord
from clipfeat.spec import EncoderSpec
from clipfeat.store import FeatureWriter, Row, merging, open_stored
from clipfeat.store.generations import shards_folder

SIZES = (10**7, 10**9)
HOUR = 3600


def main() -> None:
    """Measure the cost of a row, and print the extrapolation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument(
        "--features", type=int, default=512, help="Features of a row. ViT-B/32 has 512."
    )
    parser.add_argument("--gpus", type=int, default=8, help="GPUs of the cluster")
    parser.add_argument("--gpu-rate", type=float, default=10_000, help="Images/s of a GPU")
    parser.add_argument(
        "--decode-rate", type=float, default=1_000, help="Images/s that a core decodes"
    )
    parser.add_argument("--cores", type=int, default=128, help="Cores that decode")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "clipfeat-scale")
    args = parser.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    merging.SHARDED_ABOVE = 0  # shards, as for a file of this size
    merging.SHARD_BYTES = 2**27
    out = args.work / "out.h5"
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, {args.rows:,} rows of {args.features} "
        "float16 features"
    )
    cost = measured(out, args.rows, args.features)
    for name, value in cost.items():
        print(f"  {name:45s} {value:12.3f}")
    print("\nExtrapolation (images/s of GPUs and cores are arguments):")
    rate = min(args.gpus * args.gpu_rate, args.cores * args.decode_rate)
    for n in SIZES:
        hours = n / rate / HOUR
        print(f"  {n:,} images, {args.gpus} GPUs, {args.cores} cores: {rate:,.0f} images/s")
        committing = n * cost["us to commit"] / 1e6 / HOUR
        merging_hours = n * cost["us to merge"] / 1e6 / HOUR
        print(f"    {hours:.2f} hours, {hours * args.gpus:,.1f} GPU-hours")
        print(f"    {n * cost['bytes on disk'] / 2**40:.3f} TiB of shards")
        print(f"    {committing:.2f} hours of committing, over all workers")
        print(f"    {merging_hours:.2f} hours of merging on the driver")
        print(f"    {n * cost['bytes of driver memory'] / 2**30:,.0f} GiB of the driver's memory")
        print(
            f"    {n * cost['bytes of memory to open'] / 2**30:,.0f} GiB to open and list the file"
        )
        print(f"    {n * cost['bytes on disk'] / 2**30:,.0f} shards of 1 GiB, all open")


def measured(out: Path, n: int, width: int) -> dict[str, float]:
    """Measure microseconds and bytes per row."""
    spec = EncoderSpec(
        name="random", weights="", untrained=False, layer="last", options="{}",
        input_size=(224, 224), interpolation="bicubic", crop_pct=1.0, crop_mode="center",
        mean=(0.5,), std=(0.5,), n_features=width, precision="fp16", decode="rgb8-1",
    )  # fmt: skip
    rng = np.random.default_rng(0)
    block = rng.normal(size=(4096, width)).astype(np.float16)
    paths = [f"folder-{i // 1000:06d}/image-{i:010d}.jpg" for i in range(n)]
    keys = [i.to_bytes(16) for i in range(n)]
    held = memory(
        lambda: [ImageRecord(path, FileBytes(f"/data/{path}"), label="x") for path in paths]
    )
    seconds: dict[str, float] = {}
    before = resident()
    with FeatureWriter(out, spec) as writer:
        begun = time.perf_counter()
        for start in range(0, n, 4096):
            chunk = slice(start, start + 4096)
            rows = [
                Row(path, key, "x", height=375, width=500, file_size=90_000, format="JPEG")
                for path, key in zip(paths[chunk], keys[chunk], strict=True)
            ]
            writer.append(rows, block[: len(rows)])
        writer.commit()
        seconds["us to commit"] = time.perf_counter() - begun
        held += resident() - before
        begun = time.perf_counter()
        writer.finish()
        seconds["us to merge"] = time.perf_counter() - begun
    n_bytes = sum(path.stat().st_size for path in shards_folder(out).iterdir())
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        opening, *times = fresh.submit(read, out, n).result()
    seconds |= dict(zip(("us to open", "us to read the features"), times, strict=True))
    return {
        **{name: 1e6 * value / n for name, value in seconds.items()},
        "bytes on disk": n_bytes / n,
        "bytes of driver memory": held / n,
        "bytes of memory to open": opening / n,
    }


def read(out: Path, n: int) -> tuple[int, float, float]:
    """Open and read the file in a fresh process: bytes of memory, seconds of each."""
    before = resident()
    begun = time.perf_counter()
    with open_stored(out) as stored:
        columns = (stored.kept, stored.strings("labels"), stored.column("keys"))
        grown = resident() - before
        opening = time.perf_counter() - begun
        begun = time.perf_counter()
        n_read = sum(len(rows) for rows in stored.features())
        reading = time.perf_counter() - begun
    assert n_read == n == len(columns[1])
    return grown, opening, reading


def memory(make: Callable[[], object]) -> int:
    """Measure the bytes by which the process grows while it holds an object."""
    before = resident()
    made = make()
    grown = resident() - before
    del made
    return grown


def resident() -> int:
    """Return the resident bytes of this process."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
