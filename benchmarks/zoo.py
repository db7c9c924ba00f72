"""Compare the speed of the classifiers with plain scikit-learn estimators.

``python benchmarks/zoo.py train.h5 [--rows 20000] [--folds 5] [--cv 5] [--clf logreg,...]``

Both sides get the same rows, folds and processors, and run in turn for each classifier. Groups are
dropped, so that both calibrate on the same folds. The plain estimators have the defaults of their
libraries, with a StandardScaler if they need one. The plain SVC is calibrated with
`CalibratedClassifierCV`, because scikit-learn 1.9 computes its probabilities in this way. With
``--plain-svc bare``, it is not calibrated. ``--folds`` runs only the first of the ``--cv`` folds.
CPU seconds of all threads are printed too, because other processes increase the wall time.
"""

import argparse
import os
import platform
import time
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

from clipfeat import load
from clipfeat.ensemble import soft_vote
from clipfeat.evaluate.splits import cross_validation
from clipfeat.zoo import make_classifier, pick_threads
from clipfeat.zoo.fit_options import FitOptions

NAMES = ("logreg", "knn", "rf", "lgbm", "xgb", "svm")


def plain(name: str, bare_svc: bool) -> Any:
    """Make an estimator as a script without clipfeat would."""
    svc = make_pipeline(StandardScaler(), SVC(cache_size=1000))
    made: dict[str, Any] = {
        "logreg": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "knn": make_pipeline(StandardScaler(), KNeighborsClassifier(n_jobs=-1)),
        "rf": RandomForestClassifier(n_jobs=-1, random_state=0),
        "lgbm": LGBMClassifier(random_state=0, verbosity=-1),
        "xgb": XGBClassifier(random_state=0),
        "svm": svc if bare_svc else CalibratedClassifierCV(svc),
    }
    return made[name]


def run(
    estimator: Any, X: Any, y: Any, splits: Any
) -> tuple[tuple[float, float], list[float], list[Any]]:
    """Cross-validate, and return (wall, CPU) seconds, and accuracies and probabilities by fold."""
    probabilities: list[Any] = []

    def scorer(fitted: Any, rows: Any, labels: Any) -> float:
        if hasattr(fitted, "predict_proba"):
            probabilities.append(fitted.predict_proba(rows))
            return float(accuracy_score(labels, probabilities[-1].argmax(axis=1)))
        return float(accuracy_score(labels, fitted.predict(rows)))

    begun, cpu = time.perf_counter(), time.process_time()
    scores = cross_validate(estimator, X, y, cv=splits, scoring=scorer, error_score="raise")
    seconds = (time.perf_counter() - begun, time.process_time() - cpu)
    return seconds, scores["test_score"].tolist(), probabilities


def print_row(name: str, seconds: Any, accuracy: Any) -> None:
    """Print a row of the table: seconds, ratios and accuracies of both sides."""
    plain_s, ours = (f"{wall:.1f} ({cpu:.1f})" for wall, cpu in seconds)
    ratio = f"{seconds[0][0] / seconds[1][0]:.1f} ({seconds[0][1] / seconds[1][1]:.1f})"
    print(f"| {name} | {plain_s} | {ours} | {ratio} | {accuracy[0]:.4f} | {accuracy[1]:.4f} |",
          flush=True)  # fmt: skip


def main() -> None:
    """Time both sides for each classifier and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--cv", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--clf", default=",".join(NAMES))
    parser.add_argument("--plain-svc", choices=("calibrated", "bare"), default="calibrated")
    parser.add_argument("--accelerate", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    data = load(given.features).labelled()
    rows = np.random.default_rng(0).permutation(len(data))[: given.rows]
    data = replace(data.take(np.sort(rows)), groups=None)
    splits = cross_validation(data, given.cv, 0)[: given.folds]
    tested = np.concatenate([test for _, test in splits])
    libraries = ("scikit-learn", "scikit-learn-intelex", "lightgbm", "xgboost")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {data!r}, {len(splits)} of {given.cv} "
          f"folds; {', '.join(f'{name} {version(name)}' for name in libraries)}")  # fmt: skip
    print("| classifier | plain s (CPU) | clipfeat s (CPU) | times as fast (CPU) | plain acc. | "
          "clipfeat acc. |")  # fmt: skip
    print("|---|--:|--:|--:|--:|--:|")
    totals, votes = np.zeros((2, 2)), ([], [])  # type: ignore[var-annotated]
    threads = pick_threads(None, data.X.size)
    for name in given.clf.split(","):
        ours = make_classifier(name, FitOptions(accelerate=given.accelerate), n_jobs=threads)
        sides = [
            run(estimator, data.X, data.y, splits)
            for estimator in (plain(name, given.plain_svc == "bare"), ours)
        ]
        seconds = np.array([side[0] for side in sides])
        totals += seconds
        for vote, side in zip(votes, sides, strict=True):
            if side[2]:
                vote.append(np.concatenate(side[2]))
        accuracy = [np.mean(side[1]) for side in sides]
        print_row(name, seconds, accuracy)
    voted = [
        (soft_vote(vote).argmax(axis=1) == data.y[tested]).mean() if vote else np.nan
        for vote in votes
    ]
    print_row("all and their vote", totals, voted)


if __name__ == "__main__":
    main()
