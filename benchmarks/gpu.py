"""Speed of decoding on all cores, and of classifiers on a GPU and on the CPU.

``python benchmarks/gpu.py [--images 4096] [--rows 50000]``
"""

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from embedding import make_images

from clipfeat.features import FeatureSet
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.zoo.building import build
from clipfeat.zoo.fit_options import FitOptions


def decode_all(files: list[Path], n_threads: int) -> float:
    """Decode files in child processes, and return the images per second."""
    with IsolatedDecoder() as decoder, ThreadPoolExecutor(n_threads) as threads:

        def decode(file: Path) -> int:
            with decoder.decoded(file.read_bytes()) as decoded:
                return decoded.pixels.nbytes

        list(threads.map(decode, files[: 4 * n_threads]))  # starts the children
        begun = time.perf_counter()
        list(threads.map(decode, files))
        return len(files) / (time.perf_counter() - begun)


def fit_seconds(name: str, features: FeatureSet, *, accelerate: bool) -> float:
    """Fit a classifier once, and return the seconds."""
    estimator = build(name, FitOptions(accelerate=accelerate))
    begun = time.perf_counter()
    estimator.fit(features.X, features.y)
    return time.perf_counter() - begun


def main() -> None:
    """Print a table of decoding speeds and a table of fit times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    images = Path(tempfile.gettempdir()) / "clipfeat-bench" / f"images-{args.images}"
    make_images(images, args.images)
    files = sorted(images.iterdir())
    print("decoding of 500×375 JPEGs in child processes")
    n_cores = os.cpu_count() or 1
    for n_threads in dict.fromkeys((1, n_cores, n_cores + 1)):
        rate = decode_all(files[: max(256, 256 * n_threads)], n_threads)
        print(f"  {n_threads:3d} threads  {rate:9.1f} images/s")
    rng = np.random.default_rng(0)
    y = np.arange(args.rows) % 2
    X = rng.normal(size=(args.rows, 768)).astype(np.float32) + 0.1 * y[:, None]
    features = FeatureSet.from_arrays(X, y.astype(str))
    print(f"fits on {args.rows:,} rows × 768 features, median seconds of {args.repeats}")
    fit_seconds("mlp", features.take(np.arange(1000)), accelerate=True)  # loads the libraries
    for name in ("xgb", "mlp"):
        medians = [
            statistics.median(
                fit_seconds(name, features, accelerate=accelerate) for _ in range(args.repeats)
            )
            for accelerate in (True, False)
        ]
        ratio = medians[1] / medians[0]
        print(
            f"  {name:4s} on the GPU {medians[0]:7.2f}, on the CPU {medians[1]:7.2f}: {ratio:.1f}×"
        )


if __name__ == "__main__":
    main()
