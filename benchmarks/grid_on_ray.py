"""Compare the speed of cells that run in order, on joblib's Ray backend, and as Ray tasks.

A cell is the fit of one classifier on one fold. ``python benchmarks/grid_on_ray.py`` runs the cells
of a benchmark on random features, with one thread each, on a Ray cluster whose workers are already
running. joblib's ``Parallel`` runs the same function and is the alternative to
`clipfeat.fits.on_ray`.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib
import numpy as np
import ray
from ray.util.joblib import register_ray
from sklearn.datasets import make_classification

from clipfeat.fits.cells import Cell, CellSpec
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.on_ray import Executor, ray_executor
from clipfeat.fits.running import run_cells
from clipfeat.system.ray_connection import connected
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import k_fold


def main() -> None:
    """Run all three in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--clf", default="logreg,knn,lgbm,svm")
    parser.add_argument("--cv", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    X, y = make_classification(args.rows, args.features, n_informative=40, random_state=0)
    rows = (X.astype(np.float32), y.astype(np.int64), None)
    specs = [
        CellSpec(0, f"fold {fold}", name, name, slice(None), split, 0, 1, False)
        for fold, split in enumerate(k_fold(rows[1], None, args.cv, 0))
        for name in args.clf.split(",")
    ]
    options = FitOptions()
    register_ray()
    with connected(None), ray_executor(FitResources(1, engine="ray"), "") as tasks:
        n_cpus = int(ray.cluster_resources()["CPU"])
        print(
            f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
            f"{n_cpus} processors of Ray {ray.__version__}, joblib {joblib.__version__}; "
            f"{args.rows} × {args.features}, {len(specs)} cells of {args.clf}"
        )
        ways: dict[str, Executor | None] = {
            "in order": None, "joblib's Ray backend": by_joblib, "Ray's tasks": tasks,
        }  # fmt: skip
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.repeats):
            cells: list[dict[int, Any]] = []
            for name, executor in ways.items():
                # The first call starts the workers and imports the libraries.
                dict(run_cells(specs[: 2 * n_cpus], rows, 2, options, n_jobs=1, executor=executor))
                begun = time.perf_counter()
                cells.append(dict(run_cells(specs, rows, 2, options, n_jobs=1, executor=executor)))
                seconds[name].append(time.perf_counter() - begun)
            assert all(isinstance(cell, Cell) for one in cells for cell in one.values())
    for name, some in seconds.items():
        ratios = [a / b for a, b in zip(some, seconds["in order"], strict=True)]
        print(
            f"  {name:20s} {statistics.median(some):6.1f} s ({min(some):.1f} – {max(some):.1f}), "
            f"{statistics.median(ratios):.2f} of the first "
            f"(each repeat: {', '.join(f'{ratio:.2f}' for ratio in ratios)})"
        )
    same = [
        max(float(np.abs(one[at].test - cells[0][at].test).max()) for at in one) for one in cells
    ]
    print(
        "largest difference of the probabilities from those in order:",
        ", ".join(f"{d:.2g}" for d in same),
    )


def by_joblib(
    function: Callable[..., Any], shared: tuple[Any, ...], pieces: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
    """Run pieces of work on joblib's Ray backend, with the interface of an `Executor`."""
    remote_args = {"num_cpus": 1}
    with joblib.parallel_config("ray", n_jobs=-1, ray_remote_args=remote_args):
        call = joblib.delayed(function)
        yield from enumerate(joblib.Parallel()(call(*shared, *piece) for piece in pieces))


if __name__ == "__main__":
    main()
