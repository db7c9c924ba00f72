"""Measure time and peak memory of a fit, and the time of a thousand predictions, for many rows.

``python benchmarks/zoo_scale.py [--rows 10000,100000] [--width 768] [--clf logreg,linsvm,lgbm]``

Each fit runs in its own process, on synthetic float16 features of two classes, which are converted
to float32 like those of a feature file. Peak memory is the largest resident set of the process,
including the features and the libraries. ``--rows 10000,100000,1000000`` runs for a long time.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
import warnings

import numpy as np

GIB = 1024**2


def one(name: str, rows: int, width: int) -> None:
    """Fit one classifier and print its row."""
    from clipfeat.zoo import make_classifier

    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, rows)
    direction = rng.normal(size=width).astype(np.float32)
    direction /= np.linalg.norm(direction)
    X = np.empty((rows, width), dtype=np.float32)
    for start in range(0, rows, 10_000):
        part = slice(start, min(start + 10_000, rows))
        noise = rng.normal(size=(part.stop - start, width)).astype(np.float16)
        X[part] = noise + 2.0 * y[part, None] * direction
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begun = time.perf_counter()
        model = make_classifier(name).fit(X, y)
        fitted = time.perf_counter()
    model.predict_proba(X[:1])  # the first prediction builds the index
    begun_predict = time.perf_counter()
    right = (model.predict_proba(X[:1000]).argmax(axis=1) == y[:1000]).mean()
    predicted = time.perf_counter() - begun_predict
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB
    note = "; ".join({str(w.message) for w in caught})
    print(f"| {name} | {rows:,} | {fitted - begun:.1f} | {predicted:.2f} | {before:.1f} | "
          f"{peak:.1f} | {right:.3f} | {note} |", flush=True)  # fmt: skip


def main() -> None:
    """Run one process per classifier and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="10000,100000")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--clf", default="logreg,linsvm,lgbm,xgb,svm,knn")
    parser.add_argument("--one", nargs=2, metavar=("CLF", "ROWS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one[0], int(given.one[1]), given.width)
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, {given.width} features")
    print(
        "| classifier | rows | fit s | 1,000 rows s | GiB before | peak GiB | accuracy | warnings |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|---|", flush=True)
    for rows in given.rows.split(","):
        for name in given.clf.split(","):
            command = [sys.executable, __file__, "--width", str(given.width), "--one", name, rows]
            if code := subprocess.run(command, check=False).returncode:
                print(f"| {name} | {rows} | failed with {code} |", flush=True)


if __name__ == "__main__":
    main()
