"""Two runs and more side by side, on the images that all of them tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError, unknown_name
from clipfeat.evaluate.metrics import DECIDED, METRICS, Values, decide
from clipfeat.evaluate.resampling import draw, mean_known, weighed
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
        The metric of the common images, and its 95 % interval.
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
        By name, two or more; with the same images in their tests, or some: images are known by
        their bytes, wherever they lie.
    metric : str
        One of `METRICS`, of all images of a trial at once, since folds differ between runs; over
        trials it is averaged. Accuracies are those of the chosen thresholds where there are any.

    Returns
    -------
    n : int
        How many images are in the tests of all runs.
    compared : list of Compared
        By entry, in the order of the first run that has it, then by run; entries that failed in a
        trial are left out.

    Raises
    ------
    DataError
        If no image is in all, or labels differ.
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    first = next(iter(runs.values()))
    places = {name: _places(run) for name, run in runs.items()}
    common = [key for key in places[next(iter(runs))] if all(key in of for of in places.values())]
    if not common:
        raise DataError("no image was tested in all of these runs: there is nothing to pair")
    labels = [[run.classes[run.y[places[n][key]]] for key in common] for n, run in runs.items()]
    if any(of != labels[0] for of in labels):
        raise DataError("the same images have other labels in another run: compare like with like")
    rows = np.array([places[next(iter(runs))][key] for key in common])
    drawn = draw((first.files if first.groups is None else first.groups)[rows])
    place = {key: i for i, key in enumerate(common)}
    up = 1.0 if METRICS[metric].higher_is_better else -1.0
    entries = dict.fromkeys(entry for run in runs.values() for entry in run.complete)
    found: list[Compared] = []
    for entry in entries:
        reference: Values | None = None
        for name, run in runs.items():
            if entry not in run.complete:
                continue
            values = _values(run, entry, metric, place, drawn)
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


def _places(run: Benchmark) -> dict[bytes, int]:
    """The first row of each image that the leaderboard's trials tested, by its key."""
    tested = np.any([outcome.fold >= 0 for outcome in run.headline], axis=0)
    firsts = np.unique(run.files, return_index=True)[1]
    places: dict[bytes, int] = {}
    for row in sorted(firsts[tested[firsts]].tolist()):
        places.setdefault(bytes(run.keys[row]), row)
    return places


def _values(
    run: Benchmark,
    entry: str,
    metric: str,
    place: Mapping[bytes, int],
    drawn: NDArray[np.uint8],
) -> Values:
    """The metric, and of every draw, averaged over trials."""
    of_trials: list[Values] = []
    for outcome in run.headline:
        ys: list[NDArray[np.int64]] = []
        ps: list[Values] = []
        at: list[Sequence[int]] = []
        for fold in range(len(outcome.trial.splits)):
            tested = run.tested(outcome, entry, fold)
            p = tested.p
            if metric in DECIDED and tested.threshold is not None:
                p = np.eye(2)[decide(p, tested.threshold)]
            where = np.array([place.get(bytes(key), -1) for key in run.keys[tested.row]])
            ys.append(tested.y[where >= 0])
            ps.append(p[where >= 0])
            at.append(where[where >= 0].tolist())
        rows = np.array([i for of_fold in at for i in of_fold], dtype=np.int64)
        of_trials.append(weighed(np.concatenate(ys), np.concatenate(ps), metric, drawn[:, rows]))
    return mean_known(of_trials)
