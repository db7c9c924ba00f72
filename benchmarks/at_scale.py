"""Cost of a million rows, and the extrapolation to ten million and to a billion images.

``python benchmarks/at_scale.py --rows 1000000`` runs every step of an embedding run except decoding
and encoding: it lists synthetic members of tar files, checks their files, commits random features
in parts, merges the parts into shards, and writes the cache of content hashes. Then it resumes the
finished run, and reads the file like `fit`. Each stage runs in its own process. The memory per row
is computed from the difference to a run with a quarter of the rows, so that constant buffers are
not multiplied. The number of GPUs and cores and their images per second are arguments. They are
not measured.
"""

import argparse
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from clipfeat.embedding.absent import count_absent
from clipfeat.embedding.run import EmbedRun
from clipfeat.embedding.workers import Encoded
from clipfeat.images.packed_records import pack_records
from clipfeat.images.readers import TarMember
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.spec import EncoderSpec
from clipfeat.store import FeatureWriter, Row, merging, open_stored
from clipfeat.store.generations import shards_folder
from clipfeat.store.stat_cache import NO_STATS, TRUSTED_AFTER_NS, cache_path, load_stats, save_stats

SIZES = (10**7, 10**9)
HOUR = 3600
BATCH = 1024
IMAGES_PER_TAR = 10_000
MACHINE_MEMORY = 64 * 2**30
SHARD_BYTES = 2**25

Costs = dict[str, float]


def main() -> None:
    """Measure the costs of a row, and print the extrapolation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=16, help="Number of features per row.")
    parser.add_argument("--gpus", type=int, default=8, help="GPUs of the cluster")
    parser.add_argument("--gpu-rate", type=float, default=10_000, help="Images/s of a GPU")
    parser.add_argument(
        "--decode-rate", type=float, default=1_000, help="Images/s that a core decodes"
    )
    parser.add_argument("--cores", type=int, default=128, help="Cores that decode")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "clipfeat-scale")
    args = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, {args.rows:,} rows of {args.features} "
        "float16 features"
    )
    few, all_rows = (measured(args.work, n, args.features) for n in (args.rows // 4, args.rows))
    n_more = args.rows - args.rows // 4
    row = {
        name: (all_rows[name] - few[name]) / n_more
        if name.startswith("bytes")
        else all_rows[name] / args.rows
        for name in all_rows
    }
    for name, value in row.items():
        cost = f"{value:10.1f}" if name.startswith("bytes") else f"{1e6 * value:10.1f} us"
        print(f"  {name:50s} {cost:>13s}   in all {all_rows[name]:,.1f}")
    rate = min(args.gpus * args.gpu_rate, args.cores * args.decode_rate)
    for n in SIZES:
        print(f"\n  {n:,} images at {rate:,.0f} images/s: {n / rate / HOUR:.2f} hours")
        for name, value in row.items():
            if name.startswith("bytes"):
                print(f"    {name:50s} {n * value / 2**30:10.2f} GiB")
            else:
                print(f"    {name:50s} {n * value / HOUR:10.2f} hours")
    print(f"\n  Images that a machine of {MACHINE_MEMORY / 2**30:.0f} GiB can hold:")
    for name, value in row.items():
        if "memory" in name:
            print(f"    {name:50s} {MACHINE_MEMORY / max(value, 1e-9) / 1e6:10,.0f} million")


def measured(work: Path, n: int, width: int) -> Costs:
    """Measure the seconds and bytes of `n` rows, each stage in a new process."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for tar in tar_files(work, n):
        Path(tar).touch()
    time.sleep(2 * TRUSTED_AFTER_NS / 1e9)
    costs: Costs = {}
    for stage in (embed, resume, read):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            costs |= fresh.submit(stage, work, n, width).result()
        print(f"  {n:,} rows: {stage.__name__} is done", file=sys.stderr)
    shutil.rmtree(work)
    return costs


def embed(work: Path, n: int, width: int) -> Costs:
    """Run everything except decoding and encoding."""
    merging.SHARDED_ABOVE, merging.SHARD_BYTES = 0, SHARD_BYTES
    costs: Costs = {}
    out = work / "out.h5"
    before = resident()
    with timing(costs, "seconds of listing"):
        source = listing(work, n)
    block = np.random.default_rng(0).normal(size=(BATCH, width)).astype(np.float16)
    with FeatureWriter(out, spec_of(width), root=source.root) as writer:
        run = EmbedRun(writer, source, False, lambda phase: None)
        with timing(costs, "seconds of checking files"):
            todo = run.settle_unchanged(NO_STATS)
        assert len(todo) == n
        with timing(costs, "seconds of committing"):
            for start in range(0, n, BATCH):
                rows = [row_of(record) for record in todo[start : start + BATCH]]
                run.take(Encoded(rows, block[: len(rows)]))
            run.settle_copies()
            writer.commit()
        costs["bytes of memory, while it encodes"] = resident() - before
        with timing(costs, "seconds of merging"):
            assert writer.finish() == n
        with timing(costs, "seconds of writing the cache"):
            assert count_absent(out, source, ("",)) == 0
            save_stats(out, run.digests)
    assert run.counts == {"encoded": n, "known": 0, "failed": 0}
    costs["bytes of memory, largest of the run"] = largest_resident() - before
    costs["bytes of shards"] = sum(path.stat().st_size for path in shards_folder(out).iterdir())
    costs["bytes of the cache"] = cache_path(out).stat().st_size
    return costs


def resume(work: Path, n: int, width: int) -> Costs:
    """Run again after every image has been encoded."""
    costs: Costs = {}
    out = work / "out.h5"
    before = resident()
    with timing(costs, "seconds of resuming"):
        source = listing(work, n)
        with FeatureWriter(out, spec_of(width), root=source.root) as writer:
            run = EmbedRun(writer, source, False, lambda phase: None)
            assert not len(run.settle_unchanged(load_stats(out)))
            run.settle_copies()
            assert writer.finish() == n
    assert run.counts == {"encoded": 0, "known": n, "failed": 0}
    costs["bytes of memory, largest of a resumed run"] = largest_resident() - before
    return costs


def read(work: Path, n: int, width: int) -> Costs:
    """Open and read the file."""
    costs: Costs = {}
    before = resident()
    with open_stored(work / "out.h5") as stored:
        with timing(costs, "seconds of opening"):
            columns = (stored.kept, stored.label_codes()[0], stored.column("keys"))
        costs["bytes of memory, to read"] = resident() - before
        costs["bytes of memory, largest of opening"] = largest_resident() - before
        with timing(costs, "seconds of reading"):
            assert sum(len(rows) for rows in stored.features()) == n == len(columns[1])
    return costs


def tar_files(work: Path, n: int) -> list[str]:
    """Return the names of the tar files of `n` images."""
    return [str(work / f"shard-{i:06d}.tar") for i in range(-(-n // IMAGES_PER_TAR))]


def listing(work: Path, n: int) -> ImageSource:
    """List synthetic members of tar files."""
    tars = tar_files(work, n)

    def records() -> Iterator[ImageRecord]:
        for i in range(n):
            tar = tars[i // IMAGES_PER_TAR]
            path = f"shard-{i // IMAGES_PER_TAR:06d}.tar/image-{i:010d}.jpg"
            size = 80_000 + i * 7919 % 40_000
            yield ImageRecord(path, TarMember(tar, 100_000 * i, size), ("fake", "real")[i % 2])

    return make_source("synthetic tars", str(work), pack_records(records()))


def row_of(record: ImageRecord) -> Row:
    """Return the row of an image, with a digest of its path in place of its content hash."""
    key = hashlib.blake2b(record.path.encode(), digest_size=16).digest()
    return Row(record.path, key, record.label, record.group, 375, 500, 90_000, "JPEG")


def spec_of(width: int) -> EncoderSpec:
    """Return the spec of an encoder with `width` features."""
    return EncoderSpec(
        name="random", weights="", untrained=False, layer="last", options="{}",
        input_size=(224, 224), interpolation="bicubic", crop_pct=1.0, crop_mode="center",
        mean=(0.5,), std=(0.5,), n_features=width, precision="fp16", decode="rgb8-1",
    )  # fmt: skip


@contextmanager
def timing(costs: Costs, name: str) -> Iterator[None]:
    """Measure the processor time of a block. Other programs on the machine do not change it."""
    begun = time.process_time()
    yield
    costs[name] = time.process_time() - begun


def resident() -> int:
    """Return the resident bytes of this process."""
    return _status("VmRSS")


def largest_resident() -> int:
    """Return the largest number of resident bytes that this process has had."""
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    sys.exit(main())
