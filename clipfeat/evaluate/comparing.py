"""Two runs and more side by side, on the files that all of them tested."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError, unknown_name
from clipfeat.evaluate.metrics import DECIDED, METRICS, Values, decide
from clipfeat.evaluate.resampling import draw, weighed
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.standings import interval, paired_p_value


@dataclass(frozen=True)
class Compared:
    """One entry of one run.

    Parameters
    ----------
    run, entry : str
        Their names.
    value, low, high : float
        The metric of all common files at once, and its 95 % interval.
    better : float
        By how much it is better than the same entry of the first run; NaN where that has none.
        Positive is better, whichever way the metric goes.
    better_low, better_high : float
        Its 95 % interval, paired.
    p_value : float
        Of the paired test that there is no difference.
    """

    run: str
    entry: str
    value: float
    low: float
    high: float
    better: float
    better_low: float
    better_high: float
    p_value: float


def compare(runs: Mapping[str, Benchmark], metric: str) -> tuple[int, list[Compared]]:
    """Put runs side by side.

    Parameters
    ----------
    runs : mapping of str to Benchmark
        By name, two or more; with the same files in their tests, or some.
    metric : str
        One of `METRICS`, of all files at once: folds differ between runs, so that a mean over them
        would not pair. Accuracies are those of the chosen thresholds where there are any. Where
        trials test a file several times, its probabilities are averaged.

    Returns
    -------
    n : int
        How many files are in the tests of all runs.
    compared : list of Compared
        By entry, in the order of the first run that has it, then by run.

    Raises
    ------
    DataError
        If no file is in all, or labels differ.
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    first = next(iter(runs.values()))
    place = [_places(run) for run in runs.values()]
    common = [file for file in place[0] if all(file in of for of in place)]
    if not common:
        raise DataError("no file was tested in all of these runs: there is nothing to pair")
    labels = [
        [run.classes[run.y[of[file]]] for file in common]
        for run, of in zip(runs.values(), place, strict=True)
    ]
    if any(of != labels[0] for of in labels):
        raise DataError("the same files have other labels in another run: compare like with like")
    rows = np.array([place[0][file] for file in common])
    drawn = draw((first.files if first.groups is None else first.groups)[rows])
    up = 1.0 if METRICS[metric].higher_is_better else -1.0
    entries = dict.fromkeys(entry for run in runs.values() for entry in run.entries)
    found: list[Compared] = []
    for entry in entries:
        reference: Values | None = None
        for name, run in runs.items():
            if entry not in run.entries:
                continue
            y, p = _of_files(run, entry, common, metric)
            values = weighed(y, p, metric, drawn)
            if run is first:
                reference = values
            apart = up * (values - reference) if reference is not None else np.full(2, np.nan)
            found.append(
                Compared(
                    name, entry, float(values[0]), *interval(values[1:]), float(apart[0]),
                    *interval(apart[1:]), paired_p_value(apart[1:]),
                )
            )  # fmt: skip
    return len(common), found


def _places(run: Benchmark) -> dict[str, int]:
    """The first row of each file that some entry was tested on."""
    tested = np.any([outcome.fold >= 0 for outcome in run.outcomes], axis=0)
    places: dict[str, int] = {}
    for row in np.flatnonzero(tested).tolist():
        places.setdefault(str(run.files[row]), row)
    return places


def _of_files(
    run: Benchmark, entry: str, files: list[str], metric: str
) -> tuple[NDArray[np.int64], Values]:
    """What an entry said of files, averaged over trials; its decisions where those are asked."""
    total = {file: np.zeros(len(run.classes)) for file in files}
    count = dict.fromkeys(files, 0)
    for outcome in run.outcomes:
        for fold in range(len(outcome.trial.splits)) if entry in outcome.probabilities else ():
            tested = run.tested(outcome, entry, fold)
            p = tested.p
            if metric in DECIDED and tested.threshold is not None:
                p = np.eye(2)[decide(p, tested.threshold)]
            for row, of_file in zip(tested.row.tolist(), p, strict=True):
                if (file := str(run.files[row])) in total:
                    total[file] += of_file
                    count[file] += 1
    places = _places(run)
    y = np.array([run.y[places[file]] for file in files])
    return y, np.array([total[file] / max(count[file], 1) for file in files])
