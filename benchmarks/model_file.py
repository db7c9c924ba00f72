"""Measure model files: the size, and the seconds to load one and to predict with it.

The features are noise, so nearly all training rows become support vectors. Each time is the median
of five. A model is loaded in a new process, which has imported NumPy only.

Usage: OMP_NUM_THREADS=2 python benchmarks/model_file.py FOLDER [NAME ...]
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from clipfeat import FeatureSet, FitOptions, fit, load_model

MODELS = {
    "kernel SVM": ("svm", 12_700),
    "forest of 200 trees": ("rf", 4_000),
    "vote of six": ("logreg,knn,rf,lgbm,xgb,svm", 4_000),
    "logistic regression": ("logreg", 4_000),
    "LightGBM": ("lgbm", 4_000),
    "XGBoost": ("xgb", 4_000),
}
"""For each model, its classifiers and the number of training rows."""
N_FEATURES = 1280
N_TEST = 4_000
N_TIMES = 5

LOAD = """
import sys, time
import numpy
begun = time.perf_counter()
from clipfeat import load_model
load_model(sys.argv[1])
print(time.perf_counter() - begun)
"""


def noise(n_rows: int, seed: int) -> FeatureSet:
    """Draw features whose first twenty columns say a little about the class."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
    y = (X[:, :20].sum(axis=1) + 9 * rng.normal(size=n_rows) > 0).astype(np.int64)
    return FeatureSet.from_arrays(X, np.array(["real", "fake"])[y])


def load_seconds(path: Path) -> float:
    """Load a model file in a new process, and return the seconds with all imports."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main(folder: Path, names: list[str]) -> None:
    """Print one line per model."""
    test = noise(N_TEST, 1)
    for name, (clf, n_rows) in MODELS.items():
        if names and name not in names:
            continue
        path = folder / f"{clf.replace(',', '-')}.clipfeat"
        fitted = fit(noise(n_rows, 0), clf, cv=0, options=FitOptions())
        begun = time.perf_counter()
        fitted.save(path, overwrite=True)
        saving = time.perf_counter() - begun
        loading = statistics.median(load_seconds(path) for _ in range(N_TIMES))
        begun = time.perf_counter()
        model = load_model(path)
        warm = time.perf_counter() - begun
        equal = np.array_equal(model.predict_proba(test), fitted.predict_proba(test))
        times = []
        for _ in range(N_TIMES):
            begun = time.perf_counter()
            model.predict_proba(test)
            times.append(time.perf_counter() - begun)
        print(
            f"{name}: {path.stat().st_size / 1e6:.2f} MB, save {saving:.2f} s, load {loading:.2f} s"
            f" (second load {warm:.3f} s), predict {statistics.median(times):.3f} s for "
            f"{N_TEST:,} rows, equal {equal}",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
