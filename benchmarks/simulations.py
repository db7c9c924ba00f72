"""Simulations of the statistics that a benchmark prints.

``python benchmarks/statistics.py [TABLE …] [--draws 200]`` prints the tables of this module.

Each table compares printed statistics with the truth. The truth is known, because scores are drawn
from a known distribution and put into a `Benchmark`. ``fitted_simulations.py`` has the tables that
fit classifiers. R is the number of simulated draws. A share of R draws has a standard error of
sqrt(share (1 - share) / R), about 0.015 for a share of 0.95 and R = 200. To add a table, add an
entry to `TABLES`.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from clipfeat.evaluate.comparing import compare
from clipfeat.evaluate.gains import gains
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.plan import Trial
from clipfeat.evaluate.result import Benchmark, Outcome
from clipfeat.evaluate.standings import standings
from clipfeat.evaluate.votes import SOFT_VOTE

Labels = NDArray[np.int64]
Array = NDArray[np.float64]
Table = tuple[Sequence[str], Iterator[Sequence[str]]]
"""Headings, then rows."""
Tables = Mapping[str, tuple[str, Callable[[int], Table]]]
"""For each table, by name, its title and a function of R."""

N_FOLDS = 5
CORRELATION = 0.5
"""Correlation between entries on one image."""


def main(tables: Tables) -> None:
    """Print tables that the command line names, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(tables))
    parser.add_argument("--draws", type=int, default=200, help="Number R of simulated draws")
    args = parser.parse_args()
    print(f"R = {args.draws}; {machine()}", flush=True)
    for name in args.tables or tables:
        title, table = tables[name]
        begun = time.monotonic()
        head, rows = table(args.draws)
        print(f"\n{title}\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}", flush=True)
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)
        print(f"\n({name}: R = {args.draws}, {time.monotonic() - begun:.0f} s)", flush=True)


def machine() -> str:
    """Describe the machine and the versions."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, "
        f"NumPy {np.__version__}"
    )


def run_of(
    y: Labels,
    probabilities: Mapping[str, Array],
    *,
    fold: Labels | None = None,
    groups: Labels | None = None,
    column: str = "",
) -> Benchmark:
    """Return a run with given out-of-fold probabilities.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels, 0 or 1.
    probabilities : mapping of str to ndarray of shape (n,)
        Probability of class 1, by entry. The entry `SOFT_VOTE` is a vote.
    fold : ndarray of shape (n,), optional
        Fold of each row. By default, `N_FOLDS` stratified folds.
    groups : ndarray of shape (n,), optional
        Group of each row.
    column : str
        Name of the column whose values are held out, one per fold.
    """
    if fold is None:
        fold = np.empty(len(y), dtype=np.int64)
        for code in (0, 1):
            rows = np.flatnonzero(y == code)
            fold[rows] = np.arange(len(rows)) % N_FOLDS
    splits = {str(k): (np.flatnonzero(fold != k), np.flatnonzero(fold == k))
              for k in np.unique(fold)}  # fmt: skip
    paths = np.arange(len(y)).astype(str)
    both = {entry: np.column_stack([1 - p, p]) for entry, p in probabilities.items()}
    return Benchmark(
        [], [Outcome(Trial(splits), fold, both)], y, ("real", "fake"), paths, (), paths,
        paths.astype("S32"), None if groups is None else groups.astype(str),
        about={"column": column, "votes": {SOFT_VOTE: {}}},
    )  # fmt: skip


def latent(
    rng: np.random.Generator, n: int, n_entries: int, groups: Labels | None = None,
    within: float = 0.1,
) -> Array:  # fmt: skip
    """Draw standard normal values of shape (n_entries, n), correlated between entries.

    With groups, values of one group also have the correlation `within`.
    """
    shared = rng.normal(size=n)
    values = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * rng.normal(
        size=(n_entries, n)
    )
    if groups is None or n_entries > 1:
        return values
    effect = rng.normal(size=int(groups.max()) + 1)[groups]
    return np.asarray(np.sqrt(within) * effect + np.sqrt(1 - within) * values)


def right_or_wrong(y: Labels, accuracy: float, values: Array) -> Array:
    """Return probabilities of class 1 that are right with a given probability."""
    right = norm.cdf(values) < accuracy
    confidence = 0.6 + 0.3 * norm.cdf(values)
    return np.where(right == (y == 1), confidence, 1 - confidence)


def scores(y: Labels, area: float, values: Array) -> Array:
    """Return probabilities of class 1 whose area under the ROC curve is given."""
    distance = np.sqrt(2) * norm.ppf(area)
    return np.asarray(norm.cdf(values + distance * (y - 0.5)))


def draws(
    metric: str, truth: float, n: int, R: int, *, n_entries: int = 1, n_groups: int = 0
) -> Iterator[Benchmark]:
    """Yield R runs of entries of equal skill."""
    make = scores if metric == "roc_auc" else right_or_wrong
    for seed in range(R):
        rng = np.random.default_rng(seed)
        y = np.arange(n) % 2
        groups = rng.integers(0, n_groups, n) if n_groups else None
        values = latent(rng, n, n_entries, groups)
        entries = {f"entry {i}": make(y, truth, one) for i, one in enumerate(values)}
        yield run_of(y, entries, groups=groups)


def leader_interval(runs: Iterator[Benchmark], metric: str, truth: float) -> tuple[float, float]:
    """Return the share of leaders whose interval covers the truth, and the mean width."""
    covered, widths = [], []
    for run in runs:
        leader = standings(run, metric)[0]
        covered.append(leader.low <= truth <= leader.high)
        widths.append(leader.high - leader.low)
    return float(np.mean(covered)), float(np.mean(widths))


def coverage(R: int) -> Table:
    """Coverage of the intervals of the leader."""
    cases = [
        (metric, truth, n, 1, 0)
        for n in (60, 300)
        for metric, truths in (("accuracy", (0.8, 0.95, 0.98)), ("balanced_accuracy", (0.8, 0.98)),
                               ("roc_auc", (0.9, 0.998)))
        for truth in truths
    ]  # fmt: skip
    cases += [("accuracy", 0.8, 300, 1, 10), ("roc_auc", 0.9, 300, 1, 10)]
    cases += [("accuracy", 0.8, 300, 1, 5)]
    cases += [(m, t, n, k, 0) for m, t in (("accuracy", 0.8), ("accuracy", 0.95), ("roc_auc", 0.9))
              for n in (60, 300) for k in (8, 20)]  # fmt: skip

    def rows() -> Iterator[Sequence[str]]:
        for metric, truth, n, k, n_groups in cases:
            runs = draws(metric, truth, n, R, n_entries=k, n_groups=n_groups)
            share, width = leader_interval(runs, metric, truth)
            unit = f"{n_groups} groups" if n_groups else "images"
            yield metric, f"{truth}", f"{n}", f"{k}", unit, f"{share:.3f}", f"{width:.3f}"
        for n_values in (4, 8):
            for spread in (0.05, 0.1, 0.15):
                truth = (0.75 + 0.9) / 2
                share, width = leader_interval(
                    unseen(n_values, spread, R), "balanced_accuracy", truth
                )
                unit = f"{n_values} generators, sd {spread}"
                yield (
                    "balanced_accuracy", f"{truth}", f"{60 * n_values}", "1", unit,
                    f"{share:.3f}", f"{width:.3f}",
                )  # fmt: skip

    return ("metric", "truth", "images", "entries", "unit", "coverage", "width"), rows()


def unseen(n_values: int, spread: float, R: int) -> Iterator[Benchmark]:
    """Yield R leave-one-out runs whose recall of fakes varies between generators."""
    for seed in range(R):
        rng = np.random.default_rng(seed)
        n = 60 * n_values
        fold, y = np.arange(n) % n_values, (np.arange(n) // n_values) % 2
        recall = np.clip(0.75 + spread * rng.normal(size=n_values), 0.02, 0.98)[fold]
        right = rng.random(n) < np.where(y == 1, recall, 0.9)
        yield run_of(y, {"a": np.where(right == (y == 1), 0.9, 0.1)}, fold=fold, column="generator")


def ties(R: int) -> Table:
    """Share of runs in which an entry of equal skill is called worse than the leader."""

    def rows() -> Iterator[Sequence[str]]:
        for metric, truth in (("accuracy", 0.8), ("accuracy", 0.95), ("roc_auc", 0.9)):
            for n in (60, 300):
                for k in (2, 8, 20):
                    runs = draws(metric, truth, n, R, n_entries=k)
                    apart = [any(not one.tied for one in standings(run, metric)) for run in runs]
                    yield metric, f"{truth}", f"{n}", f"{k}", f"{np.mean(apart):.3f}"

    return ("metric", "truth", "images", "entries", "called worse"), rows()


def compared_runs(
    metric: str, truth: float, n: int, n_runs: int, n_entries: int, seed: int, loss: float = 0.0
) -> dict[str, Benchmark]:
    """Draw runs of the same entries on the same images. The last run is worse by `loss`."""
    make = scores if metric == "roc_auc" else right_or_wrong
    y = np.arange(n) % 2
    values = latent(np.random.default_rng(seed), n, n_runs * n_entries)
    return {
        f"run {number}": run_of(
            y,
            {
                f"entry {i}": make(
                    y, truth - loss * (number == n_runs - 1), values[number * n_entries + i]
                )
                for i in range(n_entries)
            },
        )
        for number in range(n_runs)
    }


def called_different(runs: Mapping[str, Benchmark], metric: str) -> list[str]:
    """Return the runs with an entry that `compare` calls different from the first run's entry."""
    return [one.run for one in compare(runs, metric).entries if one.p_value < 0.05]


def comparisons(R: int) -> Table:
    """Share of comparisons of equal runs in which some entry is called different."""

    def rows() -> Iterator[Sequence[str]]:
        for metric, truth in (("accuracy", 0.8), ("accuracy", 0.95), ("roc_auc", 0.9)):
            for n in (60, 300):
                for n_runs, n_entries in ((2, 1), (2, 6), (4, 6)):
                    different = [
                        bool(called_different(
                            compared_runs(metric, truth, n, n_runs, n_entries, seed), metric
                        ))
                        for seed in range(R)
                    ]  # fmt: skip
                    yield (
                        metric, f"{truth}", f"{n}", f"{n_runs}", f"{n_entries}",
                        f"{sum(different)}", f"{np.mean(different):.3f}",
                    )  # fmt: skip

    return ("metric", "truth", "images", "runs", "entries", "called different", "share"), rows()


def votes(R: int) -> Table:
    """Share of runs in which a vote is called worse than the best single classifier."""

    def rows() -> Iterator[Sequence[str]]:
        for k in (2, 8, 20):
            for gain in (0.05, 0.02, 0.0, -0.05, -0.15):
                signs = []
                for seed in range(R):
                    rng = np.random.default_rng(seed)
                    y = np.arange(300) % 2
                    values = latent(rng, 300, k + 1)
                    entries = {f"entry {i}": right_or_wrong(y, 0.8, values[i]) for i in range(k)}
                    entries[SOFT_VOTE] = right_or_wrong(y, 0.8 + gain, values[k])
                    one = gains(run_of(y, entries), "accuracy")[0]
                    signs.append((one.worse, one.better))
                worse, better = np.mean(signs, axis=0)
                yield f"{k}", f"{gain:+.2f}", f"{worse:.3f}", f"{better:.3f}"

    head = ("single classifiers", "true gain", "called worse", "called better")
    return head, rows()


def pooled(R: int) -> Table:
    """Mean of the printed TPR at a limited FPR against the truth."""

    def rows() -> Iterator[Sequence[str]]:
        for name, rate in (("tpr_at_fpr_1", 0.01), ("tpr_at_fpr_5", 0.05)):
            truth = 1 - norm.cdf(norm.ppf(1 - rate) - 2)
            for n in (100, 400, 1000, 4000):
                values, by_fold = [], []
                for seed in range(R):
                    rng = np.random.default_rng(seed)
                    y = np.arange(n) % 2
                    run = run_of(y, {"a": norm.cdf(rng.normal(size=n) + 2 * y - 1)})
                    outcome = run.outcomes[0]
                    function = METRICS[name].function
                    one = run.pooled(outcome, "a")
                    values.append(function(one.y, one.p))
                    folds = [run.tested(outcome, "a", fold) for fold in range(N_FOLDS)]
                    by_fold.append(np.mean([function(one.y, one.p) for one in folds]))
                yield (name, f"{n // 2}", f"{truth:.3f}", text(values), text(by_fold))

    return ("metric", "negatives", "truth", "printed", "mean over 5 folds"), rows()


def calibration(R: int) -> Table:
    """Printed calibration error of perfect and of overconfident probabilities."""

    def rows() -> Iterator[Sequence[str]]:
        for sharper in (1.0, 2.0):
            for n in (60, 300, 1000, 5000, 100_000):
                values = []
                for seed in range(R if n < 10_000 else 10):
                    rng = np.random.default_rng(seed)
                    p = rng.beta(1.5, 1.5, n)
                    y = (rng.random(n) < p).astype(np.int64)
                    bold = p**sharper / (p**sharper + (1 - p) ** sharper)
                    one = METRICS["calibration_error"].function(
                        y, np.column_stack([1 - bold, bold])
                    )
                    values.append(one)
                kind = "perfect" if sharper == 1 else f"logits times {sharper:g}"
                yield kind, f"{n}", text(values), f"{np.mean(np.array(values) == 0):.2f}"

    return ("probabilities", "images", "calibration error", "share of 0"), rows()


def text(values: Sequence[float]) -> str:
    """Format the mean and the standard deviation of draws."""
    known = np.array(values)
    if np.isnan(known).all():
        return "–"
    return f"{known.mean():.3f} ± {known.std():.3f}"


TABLES: Tables = {
    "coverage": ("Coverage of the 95 % interval of the leader", coverage),
    "ties": ("Equal entries that are called worse than the leader", ties),
    "compare": ("Equal runs with an entry that `compare` calls different", comparisons),
    "pooled": ("True positive rate at a limited false positive rate, 5 folds", pooled),
    "calibration": ("Calibration error, debiased root mean square", calibration),
    "votes": ("Votes against the best single classifier (accuracy 0.8, 300 images)", votes),
}
