"""Compare the time of ``clipfeat benchmark`` with a loop of plain scikit-learn estimators.

``python benchmarks/whole_run.py [--rows 4000] [--cv 3] [--repeats 1]``

Both sides are whole processes on the same synthetic features of two classes, and run in turn. The
plain loop fits the estimators of ``zoo.py`` in this folder on the same number of folds, averages
their probabilities and prints accuracies. clipfeat also computes intervals and writes the report.
On a busy machine, wall times are not reliable. The CPU times of all threads include busy waiting,
unless ``OMP_WAIT_POLICY=passive`` is set.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NAMES = "logreg,knn,rf,lgbm,xgb,svm"


def make_features(path: Path, rows: int, width: int) -> None:
    """Write a feature file, and the same rows as ``X.npy`` and ``y.npy`` for the plain loop."""
    from clipfeat.spec import EncoderSpec
    from clipfeat.store import FeatureWriter, Row

    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, rows)
    latent = rng.normal(size=(rows, 64)).astype(np.float32)
    latent[:, :8] += 0.6 * (2 * y - 1)[:, None]
    X = latent @ rng.normal(size=(64, width)).astype(np.float32) / 8
    X += 0.7 * rng.standard_normal(size=X.shape, dtype=np.float32)
    X = np.maximum(X, 0)
    spec = EncoderSpec(
        "synthetic", "", False, "last", "{}", (224, 224), "none", 1.0, "center", (0.0,), (1.0,),
        width, "fp32", "rgb8-1",
    )  # fmt: skip
    with FeatureWriter(path, spec) as writer:
        for start in range(0, rows, 256):
            numbers = range(start, min(start + 256, rows))
            images = [Row(f"{n:08d}.jpg", n.to_bytes(16), ("real", "fake")[y[n]]) for n in numbers]
            writer.append(images, X[start : start + 256])
        writer.finish()
    np.save(path.with_name("X.npy"), X)
    np.save(path.with_name("y.npy"), y)


def plain_loop(folder: Path, cv: int) -> None:
    """Cross-validate the plain estimators and their vote."""
    from sklearn.model_selection import StratifiedKFold
    from zoo import plain, run

    X, y = np.load(folder / "X.npy"), np.load(folder / "y.npy")
    splits = list(StratifiedKFold(cv, shuffle=True, random_state=0).split(X, y))
    votes = []
    for name in NAMES.split(","):
        (wall, cpu), accuracy, probabilities = run(plain(name, False), X, y, splits)
        votes.append(np.concatenate(probabilities))
        print(f"{name}: {np.mean(accuracy):.4f}, {wall:.1f} s ({cpu:.1f})", flush=True)
    right = np.mean(votes, axis=0).argmax(axis=1) == y[np.concatenate([test for _, test in splits])]
    print(f"vote: {right.mean():.4f}")


def measure(command: list[str]) -> tuple[float, float]:
    """Run a process, and return its wall and CPU seconds."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=sys.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time.perf_counter() - begun, cpu


def main() -> None:
    """Time both sides and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--cv", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plain is not None:
        plain_loop(given.plain, given.cv)
        return
    seconds: dict[str, list[tuple[float, float]]] = {"plain": [], "clipfeat": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.h5"
        make_features(path, given.rows, given.width)
        for repeat in range(given.repeats):
            sides = {
                "plain": [__file__, "--plain", folder, "--cv", str(given.cv)],
                "clipfeat": ["-m", "clipfeat", "benchmark", str(path), "--clf", NAMES, "--cv",
                             str(given.cv), "-o", f"{folder}/run-{repeat}"],
            }  # fmt: skip
            for side, arguments in sides.items():
                seconds[side].append(measure([sys.executable, *arguments]))
                print(f"{side}: {seconds[side][-1]}", flush=True)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}; "
          f"{given.rows:,} rows x {given.width}, {given.cv} folds, {given.repeats} repeats; "
          f"OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', '')}")  # fmt: skip
    for kind, name in enumerate(("wall", "CPU")):
        plain, ours = (np.median([one[kind] for one in of]) for of in seconds.values())
        print(f"{name}: plain {plain:.1f} s, clipfeat {ours:.1f} s, {plain / ours:.1f} times")


if __name__ == "__main__":
    main()
