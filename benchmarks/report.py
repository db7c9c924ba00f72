"""Measure the time to write the report of a benchmark, and the size of its page.

``python benchmarks/report.py [--rows 20000] [--width 1280] [--entries 8] [--repeats 3]``

Probabilities are simulated instead of fitted, for two classes, five folds, a column of generators,
and thresholds.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time

import numpy as np

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import score
from clipfeat.evaluate.protocols import KFold
from clipfeat.evaluate.result import Benchmark, Outcome
from clipfeat.features import FeatureSet
from clipfeat.report.page import PageOptions, write_page


def make(rows: int, width: int, entries: int) -> tuple[FeatureSet, Benchmark]:
    """Make features of two classes, and a run whose entries differ in skill."""
    rng = np.random.default_rng(0)
    labels = np.where(rng.integers(0, 2, rows) == 1, "fake", "real")
    X = rng.normal(size=(rows, width)).astype(np.float32)
    X[labels == "fake", : width // 8] += 0.5
    data = FeatureSet.from_arrays(X, labels.tolist())
    made = rng.choice([f"generator {i}" for i in range(8)], rows)
    data.columns["generator"] = np.where(data.y == 0, "", made)
    trial = KFold().plan(data).trials[0]
    fold = np.full(rows, -1)
    for number, (_, test) in enumerate(trial.splits.values()):
        fold[test] = number
    probabilities, thresholds, scored = {}, {}, []
    for i in range(entries):
        name = f"classifier {i}"
        logit = (1 + i / 4) * (2 * data.y - 1) + rng.normal(size=rows)
        positive = 1 / (1 + np.exp(-2 * logit))
        probabilities[name] = np.column_stack([1 - positive, positive])
        thresholds[name] = [0.5 + 0.01 * j for j in range(5)]
        scored += [
            {"classifier": name, "fold": str(j), "metric": metric, "value": value}
            for j, threshold in enumerate(thresholds[name])
            for metric, value in score(
                data.y[fold == j], probabilities[name][fold == j], threshold
            ).items()
        ]
    return data, Benchmark(
        scored, [Outcome(trial, fold, probabilities, thresholds)], data.y, data.classes,
        data.paths, data.specs, data.files, data.keys, columns=data.columns,
        about={"protocol": "5-fold", "column": ""},
    )  # fmt: skip


def main() -> None:
    """Write the same report several times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--entries", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    data, run = make(args.rows, args.width, args.entries)
    board = Leaderboard.from_rows(run.rows)
    print(f"{platform.machine()}, {os.cpu_count()} cores; {args.rows:,} rows × {args.width}, "
          f"{args.entries} entries, 5 folds")  # fmt: skip
    wall, cpu, size = [], [], 0
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            begun, used = time.perf_counter(), time.process_time()
            paths = write_page(run, board, folder, PageOptions(data))
            wall.append(time.perf_counter() - begun)
            cpu.append(time.process_time() - used)
            size = paths[0].stat().st_size
    print(f"{statistics.median(wall):.1f} s ({min(wall):.1f} to {max(wall):.1f}), "
          f"{statistics.median(cpu):.1f} s of CPU time; {len(paths) - 1} plot files, page of "
          f"{size / 1e6:.2f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
