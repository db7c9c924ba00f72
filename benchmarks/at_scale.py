"""What ten million and a billion images would cost, from what a row costs here.

``python benchmarks/at_scale.py --rows 400000``: rows of random features are committed in parts and
merged into shards, as a run does, and read again, as `fit` does. Seconds, bytes on disk and bytes
of memory for each row are measured; the model below them only multiplies. What is not measured here
is an argument: images a second of one GPU and of one core that decodes, and how many there are.
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
    """Measure, and multiply."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--features", type=int, default=512, help="512 is ViT-B/32's")
    parser.add_argument("--gpus", type=int, default=8, help="of the cluster")
    parser.add_argument("--gpu-rate", type=float, default=10_000, help="images/s of one; not ours")
    parser.add_argument("--decode-rate", type=float, default=1_000, help="images/s of one core")
    parser.add_argument("--cores", type=int, default=128, help="of the cluster, that decode")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "clipfeat-scale")
    args = parser.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    merging.SHARDED_ABOVE = 0  # as it is where there are so many
    merging.SHARD_BYTES = 2**27
    out = args.work / "out.h5"
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, {args.rows:,} rows of {args.features} "
        "float16 features"
    )
    cost = measured(out, args.rows, args.features)
    for name, value in cost.items():
        print(f"  {name:45s} {value:12.3f}")
    print("\nThe model (a GPU's and a core's images/s are arguments):")
    rate = min(args.gpus * args.gpu_rate, args.cores * args.decode_rate)
    for n in SIZES:
        hours = n / rate / HOUR
        print(f"  {n:,} images, {args.gpus} GPUs, {args.cores} cores: {rate:,.0f} images/s")
        committing = n * cost["us to commit"] / 1e6 / HOUR
        merging_took = n * cost["us to merge"] / 1e6 / HOUR
        print(f"    {hours:.2f} hours, {hours * args.gpus:,.1f} GPU-hours")
        print(f"    {n * cost['bytes on disk'] / 2**40:.3f} TiB of shards")
        print(f"    {committing:.2f} hours of committing, by all workers")
        print(f"    {merging_took:.2f} hours of merging, by the driver")
        print(f"    {n * cost['bytes of driver memory'] / 2**30:,.0f} GiB of the driver's memory")
        print(f"    {n * cost['bytes of memory to open'] / 2**30:,.0f} GiB to open and list it")
        print(f"    {n * cost['bytes on disk'] / 2**30:,.0f} shards of a GiB, open at once")


def measured(out: Path, n: int, width: int) -> dict[str, float]:
    """Microseconds and bytes for each row."""
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
        for at in range(0, n, 4096):
            chosen = slice(at, at + 4096)
            rows = [
                Row(path, key, "x", height=375, width=500, file_size=90_000, format="JPEG")
                for path, key in zip(paths[chosen], keys[chosen], strict=True)
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
        opening, *took = fresh.submit(read, out, n).result()
    seconds |= dict(zip(("us to open", "us to read the features"), took, strict=True))
    return {
        **{name: 1e6 * value / n for name, value in seconds.items()},
        "bytes on disk": n_bytes / n,
        "bytes of driver memory": held / n,
        "bytes of memory to open": opening / n,
    }


def read(out: Path, n: int) -> tuple[int, float, float]:
    """Open and read all, in a process that has no memory to give: bytes, and seconds of either."""
    before = resident()
    begun = time.perf_counter()
    with open_stored(out) as stored:
        found = (stored.kept, stored.strings("labels"), stored.column("keys"))
        grown = resident() - before
        opening = time.perf_counter() - begun
        begun = time.perf_counter()
        n_read = sum(len(rows) for rows in stored.features())
        reading = time.perf_counter() - begun
    assert n_read == n == len(found[1])
    return grown, opening, reading


def memory(make: Callable[[], object]) -> int:
    """Bytes that the process grows by while it holds what is made."""
    before = resident()
    made = make()
    grown = resident() - before
    del made
    return grown


def resident() -> int:
    """Bytes of memory that this process has now."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
