"""Class balancing in protocols with unequal classes.

``python benchmarks/balance.py FEATURES.h5 --column generator --clf logreg,svm,knn,ridge``

The script prints the mean scores of the classifiers for each method of ``--balance``, in
the protocols `LeaveOneOut`, `Matrix` and `KFold`. ``--values`` keeps the rows with these values of
the column. Rows without a value, such as photographs that belong to no generator, are also kept.
``--per-class 100,10`` keeps 100 images of the first class and 10 of the second for each value of
the column. The feature file should hold training images only.
"""

import argparse
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

import clipfeat
from clipfeat.evaluate import KFold, LeaveOneOut, Matrix, Protocol, benchmark
from clipfeat.evaluate.splits import shared_rows
from clipfeat.features import FeatureSet
from clipfeat.zoo.fit_options import BALANCES, FitOptions

METRICS = ("balanced_accuracy", "accuracy", "roc_auc", "log_loss")


def main() -> None:
    """Print the table of mean scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features")
    parser.add_argument("--column", required=True, help="Column, or groups")
    parser.add_argument("--values", default="", help="Comma-separated values to keep")
    parser.add_argument("--per-class", default="", help="Images of each class for each value")
    parser.add_argument("--clf", default="logreg,svm,knn,ridge")
    args = parser.parse_args()
    data = subset(
        clipfeat.load(args.features), args.column, [v for v in args.values.split(",") if v],
        [int(n) for n in args.per_class.split(",") if n],
    )  # fmt: skip
    counts = dict(zip(data.classes, np.bincount(data.y).tolist(), strict=True))
    print(f"{args.features}: {counts}\n\n| protocol | balance | {' | '.join(METRICS)} |")
    print(f"|{' --- |' * (2 + len(METRICS))}")
    for name, balance, means in scores(data, args.column, args.clf):
        print(
            f"| {name} | {balance} | {' | '.join(f'{means[m]:.3f}' for m in METRICS)} |", flush=True
        )


def subset(
    data: FeatureSet, column: str, values: Sequence[str], per_class: Sequence[int]
) -> FeatureSet:
    """Keep some values of a column, and a number of images of each class for each value."""
    if column == "groups":
        data = replace(data, columns={column: data.groups}, groups=None)
    rng = np.random.default_rng(0)
    of = data.column(column)
    kept = np.arange(len(data))
    if values:
        kept = np.flatnonzero(np.isin(of, values) | shared_rows(data, column))
    if per_class:
        chosen = [
            rng.permutation(kept[(of[kept] == value) & (data.y[kept] == code)])[:n]
            for value in np.unique(of[kept])
            for code, n in enumerate(per_class)
        ]
        kept = np.concatenate(chosen)
    return data.take(np.sort(kept))


def scores(
    data: FeatureSet, column: str, clf: str
) -> Iterator[tuple[str, str, Mapping[str, float]]]:
    """Yield the mean scores of the classifiers by protocol and balance."""
    protocols: dict[str, Protocol] = {
        "leave-one-out": LeaveOneOut(column), "matrix": Matrix(column, 3), "5-fold": KFold(5),
    }  # fmt: skip
    for name, protocol in protocols.items():
        for balance in BALANCES:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run = benchmark(data, clf, protocol=protocol, options=FitOptions(balance=balance))
            mean = run.leaderboard().mean
            yield name, balance, {
                metric: float(np.mean([mean[entry][metric] for entry in clf.split(",")]))
                for metric in METRICS
            }  # fmt: skip


if __name__ == "__main__":
    main()
