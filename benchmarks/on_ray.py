"""Overhead of Ray on one machine: the local engine against Ray with one worker in each pool.

``python benchmarks/on_ray.py --images 4000`` embeds a folder of JPEGs with both engines,
interleaved, and compares the rows bit for bit. For Ray, the script prints two times: the time of a
run on a cluster whose workers have started, and the time of the whole command, which also starts
and stops the cluster.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from embedding import make_images

import clipfeat
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.pipeline import EmbedReport
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.store import load
from clipfeat.system.ray_connection import connected


def main() -> None:
    """Run both engines, interleaved, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--encoder", default="spectrum")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--plain-workers", type=int, default=1, help="Workers of the local engine; 0: its default"
    )
    parser.add_argument(
        "--plain-threads", type=int, default=1, help="Threads of torch. The actor on Ray has 1."
    )
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "clipfeat-bench")
    args = parser.parse_args()
    images = args.work / f"images-{args.images}"
    make_images(images, args.images)
    options = EncoderOptions(
        untrained=args.encoder != "spectrum",
        image_size=args.image_size,
        device="cpu",
        precision="fp32",
    )

    def embed(source: Any, out: Path, engine: str, num_workers: int | None) -> EmbedReport:
        resources = EmbedResources(args.batch_size, num_workers, engine)
        return clipfeat.embed(
            source, out, encoder=args.encoder, options=options, overwrite=True, resources=resources
        )

    torch.set_num_threads(args.plain_threads)
    seconds: dict[str, list[float]] = {"local": [], "ray": [], "ray, whole command": []}
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, {args.images} JPEGs, {args.encoder}, "
        f"batches of {args.batch_size}, local engine with -j {args.plain_workers or 'default'} and "
        f"{args.plain_threads} threads of torch, "
        f"Ray {ray.__version__}"
    )
    for _ in range(args.repeats):
        for engine in ("local", "ray"):
            out = args.work / f"{engine}.h5"
            begun = time.perf_counter()
            n = 1 if engine == "ray" else args.plain_workers or None
            report = embed(images, out, engine, n)
            if engine == "ray":
                seconds["ray, whole command"].append(time.perf_counter() - begun)
            else:
                seconds["local"].append(report.seconds["encoding"])
        with connected(None, least_cpus=2):
            # The first run starts the workers, which Ray keeps for the second.
            few = sorted(images.iterdir())[:8]
            embed(few, args.work / "few.h5", "ray", 1)
            report = embed(images, args.work / "ray.h5", "ray", 1)
            seconds["ray"].append(report.seconds["encoding"])
    for name, values in seconds.items():
        median = statistics.median(values)
        ratios = [a / b for a, b in zip(values, seconds["local"], strict=True)]
        print(
            f"  {name:20s} {median:6.1f} s ({min(values):.1f} – {max(values):.1f}), "
            f"{args.images / median:6.1f} images/s, {statistics.median(ratios):.2f} times the "
            f"local seconds (each repeat: {', '.join(f'{r:.2f}' for r in ratios)})"
        )
    a, b = load(args.work / "local.h5"), load(args.work / "ray.h5")
    order = np.argsort(a.paths), np.argsort(b.paths)
    same = a.paths[order[0]].tolist() == b.paths[order[1]].tolist()
    equal = (a.X[order[0]] == b.X[order[1]]).all(axis=1)
    print(
        f"same images: {same}. Rows equal bit for bit: {equal.mean():.1%}. Largest difference: "
        f"{np.abs(a.X[order[0]] - b.X[order[1]]).max():.2g}"
    )


if __name__ == "__main__":
    main()
