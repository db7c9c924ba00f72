"""Time and memory of embedding for a growing number of images.

``python benchmarks/scaling.py [--sizes 1000 10000 100000] [--repeats 2]``

The script embeds folders of small PNGs with ``spectrum``, the cheapest encoder, so that overheads
that grow with the number of images become visible. Each run is a separate process. Its time runs
from the first image to the finished file. Its memory is the peak of the main process, without the
processes that decode.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Two threads of one small transform mostly wait for each other, especially on a busy machine."""


def make_images(folder: Path, n: int) -> None:
    """Write `n` distinct images of noise."""
    folder.mkdir()
    rng = np.random.default_rng(n)
    for i in range(n):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06d}.png", compress_level=0)


def embed_once(folder: str) -> None:
    """Embed a folder, and print the seconds and the bytes of memory."""
    import clipfeat

    with tempfile.TemporaryDirectory() as work:
        report = clipfeat.embed(folder, Path(work) / "out.h5", encoder="spectrum")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": report.seconds["encoding"], "memory": memory}))


def main() -> None:
    """Run every size, interleaved, and print the cost per image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        embed_once(options.once)
        return
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {SIDE}×{SIDE} PNG"
    )
    runs_of: dict[int, list[dict[str, float]]] = {n: [] for n in options.sizes}
    with tempfile.TemporaryDirectory() as work:
        for n in options.sizes:
            make_images(Path(work) / str(n), n)
        for _ in range(options.repeats):
            for n in options.sizes:
                command = [sys.executable, __file__, "--once", str(Path(work) / str(n))]
                output = subprocess.check_output(command, text=True, env=os.environ | ONE_THREAD)
                runs_of[n].append(json.loads(output))
    first = options.sizes[0]
    cost = {n: statistics.median(run["seconds"] for run in runs) / n for n, runs in runs_of.items()}
    print(f"{'images':>8} {'images/s':>9} {'µs/image':>9} {f'of {first}':>8} {'memory':>9}")
    for n, runs in runs_of.items():
        memory = statistics.median(run["memory"] for run in runs)
        print(
            f"{n:8d} {1 / cost[n]:9.0f} {cost[n] * 1e6:9.0f} {cost[n] / cost[first]:8.2f} "
            f"{memory / 2**20:5.0f} MiB"
        )
    for a, b in pairwise(options.sizes):
        marginal = (cost[b] * b - cost[a] * a) / (b - a)
        print(f"marginal cost of an image from {a} to {b}: {marginal * 1e6:.0f} µs")


if __name__ == "__main__":
    main()
