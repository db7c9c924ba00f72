"""Compare model files with skops files, which format 1 contained, in size and time.

The features are noise, so nearly all training rows become support vectors. Each time is the median
of five, or of 21 for predictions, and the two formats take turns. A model is loaded in a new
process, which has imported NumPy only.

Usage: OMP_NUM_THREADS=2 python benchmarks/model_file.py FOLDER [NAME ...]
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from clipfeat import FeatureSet, FitOptions, fit, load_model
from clipfeat.model.exporting import export_estimator

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
N_PREDICTIONS = 21

LOAD = """
import sys, time
import numpy
begun = time.perf_counter()
from clipfeat import load_model
load_model(sys.argv[1])
print(time.perf_counter() - begun)
"""
LOAD_SKOPS = """
import sys, time
import numpy
begun = time.perf_counter()
from skops.io import get_untrusted_types, load
load(sys.argv[1], trusted=get_untrusted_types(file=sys.argv[1]))
print(time.perf_counter() - begun)
"""


def noise(n_rows: int, seed: int) -> FeatureSet:
    """Draw features whose first twenty columns are weakly correlated with the class."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
    y = (X[:, :20].sum(axis=1) + 9 * rng.normal(size=n_rows) > 0).astype(np.int64)
    return FeatureSet.from_arrays(X, np.array(["real", "fake"])[y])


def load_seconds(path: Path, code: str) -> float:
    """Load a model file in a new process, and return the seconds, including all imports."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def predict_seconds(predict: Callable[[], object]) -> float:
    """Return the seconds of one prediction."""
    begun = time.perf_counter()
    predict()
    return time.perf_counter() - begun


def row(name: str, unit: str, new: list[float], old: list[float]) -> str:
    """Return a line of the table: two medians and their ratio."""
    one, other = statistics.median(new), statistics.median(old)
    return f"| {name} | {one:.3f} {unit} | {other:.3f} {unit} | {one / other:.2f} |"


def main(folder: Path, names: list[str]) -> None:
    """Print a table with three lines per model. The two formats take turns."""
    from skops.io import get_untrusted_types, load

    test = noise(N_TEST, 1)
    print("| model | format 2 | format 1 (skops) | ratio |\n|---|--:|--:|--:|", flush=True)
    for name, (clf, n_rows) in MODELS.items():
        if names and name not in names:
            continue
        new = folder / f"{clf.replace(',', '-')}.clipfeat"
        fitted = fit(noise(n_rows, 0), clf, cv=0, options=FitOptions())
        fitted.save(new, overwrite=True)
        old = export_estimator(new, new.with_suffix(".skops"), overwrite=True)
        sizes = [[path.stat().st_size / 1e6] for path in (new, old)]
        loads: tuple[list[float], list[float]] = ([], [])
        for _ in range(N_TIMES):
            loads[0].append(load_seconds(new, LOAD))
            loads[1].append(load_seconds(old, LOAD_SKOPS))
        model = load_model(new)
        estimator = load(old, trusted=get_untrusted_types(file=old))
        assert np.array_equal(model.predict_proba(test), fitted.predict_proba(test))
        predictions: tuple[list[float], list[float]] = ([], [])
        predict = partial(model.predict_proba, test), partial(estimator.predict_proba, test.X)
        for number in range(N_PREDICTIONS):
            for place in (0, 1) if number % 2 else (1, 0):
                predictions[place].append(predict_seconds(predict[place]))
        print(row(f"{name}, size", "MB", *sizes))
        print(row(f"{name}, load", "s", *loads))
        print(row(f"{name}, predict {N_TEST:,} rows", "s", *predictions), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
