"""Comparison of runs on the images that all of them tested."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError, UsageError
from clipfeat.evaluate.external_scores import no_probabilities
from clipfeat.evaluate.intervals import SampleSize, interval
from clipfeat.evaluate.leaderboard import DEFAULT_METRIC, check_metric
from clipfeat.evaluate.metrics import DECIDED, METRICS, Values, decide
from clipfeat.evaluate.resampling import Resamples, draw, mean_defined, metric_of_draws
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.run_differences import data_notes, option_differences
from clipfeat.evaluate.simultaneous import all_of, score_alpha
from clipfeat.features.classes import positive_class, positive_title
from clipfeat.system.progress import Phase, Report, reporting

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ComparedEntry:
    """Score of one entry (a classifier or a vote) of a run, and its difference from the first run.

    Parameters
    ----------
    run, entry : str
        Names of the run and the entry.
    value, low, high : float
        Value of the metric on the common images, and the ends of its 95 % interval.
    better : float
        Improvement over the same entry of the first run. It is positive if this run is better. For
        metrics such as log loss, for which lower is better, the sign is reversed. NaN if the first
        run does not have the entry.
    better_low, better_high : float
        Ends of the paired 95 % interval of `better`. All intervals of a comparison are
        simultaneous.
    p_value : float
        Two-sided p-value of the paired test that there is no difference, corrected for all compared
        entries and runs by the max-T method.
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


@dataclass(frozen=True)
class Comparison:
    """Result of `clipfeat.compare`.

    Parameters
    ----------
    metric : str
        Name of the metric.
    runs : sequence of str
        Names of the runs. All differences are relative to the first run.
    n_files : int
        Number of files that all runs tested.
    entries : sequence of ComparedEntry
        Results, ordered by entry, then by run. If an entry failed in a trial of a run, the result
        for this entry and this run is missing.
    classes : tuple of str
        Classes of the first run. The last of two classes is the positive class.
    differences : mapping of str to sequence of str
        For each option that differs between the runs, its value in each run.
    notes : sequence of str
        Sentences on the data, the intervals and the tests.
    """

    metric: str
    runs: Sequence[str]
    n_files: int
    entries: Sequence[ComparedEntry]
    classes: tuple[str, ...] = ()
    differences: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def title(self) -> str:
        """Heading of the table."""
        return (
            f"{METRICS[self.metric].title} on the {self.n_files} images that all runs tested"
            f"{positive_title(self.classes)}"
        )

    @property
    def heads(self) -> list[str]:
        """Headings of the columns of `rows`."""
        better = f"better than {self.runs[0]} by"
        return ["classifier", "run", "value", "95 % interval", better, "95 %, paired", "p"]

    @property
    def rows(self) -> list[list[str]]:
        """Text cells, with one row per entry and run."""
        return [
            [
                one.entry, one.run, f"{one.value:.4f}", f"{one.low:.4f} to {one.high:.4f}",
                *(
                    (f"{one.better:+.4f}", f"{one.better_low:+.4f} to {one.better_high:+.4f}",
                     f"{one.p_value:.3f}")
                    if one.run != self.runs[0] and not np.isnan(one.better)
                    else ("", "", "")
                ),
            ]
            for one in self.entries
        ]  # fmt: skip

    def to_pandas(self) -> "pd.DataFrame":
        """Return a table with one row per entry and run."""
        import pandas as pd

        table = pd.DataFrame([asdict(entry) for entry in self.entries])
        return table.assign(positive_class=positive_class(self.classes) or "")


Runs = Mapping[str, "Benchmark | str | Path"] | Sequence["Benchmark | str | Path"]


def compare(
    runs: Runs, metric: str = DEFAULT_METRIC, *, progress: bool | Report = True
) -> Comparison:
    """Compare two or more runs by paired differences from the first run.

    Parameters
    ----------
    runs : sequence or mapping of str to Benchmark or path
        Results of `clipfeat.benchmark`, or run folders. The keys of a mapping are the names of the
        runs. In a sequence, a folder is named by its path, and a result by its position, such as
        ``"run 1"``. At least one image must have been tested in all runs. Images are identified by
        content hash.
    metric : str
        Name of a metric. For each trial, such as one cross-validation, the metric is computed on
        the images of all folds together, because the folds differ between runs. The values are
        then averaged over the trials. If a run chose decision thresholds, accuracies use them.
    progress : bool or callable
        Show the progress on standard error. A callable is called with each
        `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    Comparison
        Values with 95 % intervals, paired differences and p-values.

    Raises
    ------
    UsageError
        If there are fewer than two runs, or two runs have the same name.
    UnknownNameError
        If the metric is unknown.
    DataError
        If no image was tested in all runs. If an image has different labels in two runs. If two
        runs have different positive classes.
    RefusedFileError
        If a folder does not hold a run.
    """
    check_metric(metric)
    with reporting(progress) as report:
        return _compare(_named_runs(runs, report), metric, report)


def _compare(loaded: Mapping[str, Benchmark], metric: str, report: Report) -> Comparison:
    """Compare the runs by name. See `compare`."""
    names = list(loaded)
    first = loaded[names[0]]
    rows = {name: _tested_rows(run) for name, run in loaded.items()}
    common = [key for key in rows[names[0]] if all(key in of_run for of_run in rows.values())]
    if not common:
        raise DataError(
            f"no image was tested in all runs ({', '.join(names)}). Compare runs on the same images"
        )
    labels = [[run.classes[run.y[rows[n][key]]] for key in common] for n, run in loaded.items()]
    for name, of_run in zip(names, labels, strict=True):
        n_different = sum(a != b for a, b in zip(of_run, labels[0], strict=True))
        if n_different:
            raise DataError(
                f"{n_different} of {len(common)} images have different labels in {names[0]} and "
                f"{name}. Compare runs with the same labels"
            )
    for name, run in loaded.items():
        pair = positive_class(first.classes), positive_class(run.classes)
        if None not in pair and pair[0] != pair[1]:
            raise DataError(
                f"the positive class is {pair[0]} in {names[0]}, but {pair[1]} in {name}. Run the "
                f"benchmark of {name} again with --positive {pair[0]}"
            )
    unit, unit_name = _units(loaded, np.array([rows[names[0]][key] for key in common]))
    weights = draw(unit)
    y = first.y[[rows[names[0]][key] for key in common]]
    per_class = [len(np.unique(unit[y == code])) for code in range(len(first.classes))]
    size = SampleSize(len(np.unique(unit)), len(common), np.array(per_class))
    position = {key: i for i, key in enumerate(common)}
    compared = [
        (entry, name)
        for entry in dict.fromkeys(entry for run in loaded.values() for entry in run.complete)
        for name, run in loaded.items()
        if entry in run.complete
        and not (METRICS[metric].needs_probabilities and entry in no_probabilities(run))
    ]
    values = {}
    for done, (entry, name) in enumerate(compared):
        report(Phase("comparing", done, len(compared), "entries", detail=f"{entry} of {name}"))
        values[entry, name] = _values(loaded[name], entry, metric, position, weights)
    return Comparison(
        metric, names, len(common), _compared(values, names[0], metric, size, unit_name),
        first.classes, option_differences(loaded),
        [*data_notes(loaded), *_notes(values, names[0], size, unit_name)],
    )  # fmt: skip


def _units(runs: Mapping[str, Benchmark], rows: NDArray[np.int64]) -> tuple[NDArray[np.str_], str]:
    """Return the resampled unit of each row of the first run, and the name of the unit.

    If all runs hold out the values of one column, the units are these values. Otherwise, they are
    groups or images.
    """
    first = next(iter(runs.values()))
    column = str(first.about.get("column", ""))
    trials = [outcome.trial for run in runs.values() for outcome in run.headline]
    same = all(run.about.get("column") == column for run in runs.values())
    if column and same and not any(trial.trained_on for trial in trials):
        outcome = first.headline[0]
        return np.array(list(outcome.trial.splits))[outcome.fold[rows]], f"value of {column}"
    if first.groups is None:
        return first.files[rows], "image"
    return first.groups[rows], "group"


def _compared(
    values: Mapping[tuple[str, str], Values],
    reference: str,
    metric: str,
    size: SampleSize,
    unit: str,
) -> list[ComparedEntry]:
    """Compare each entry of each run with the same entry of the first run.

    The intervals and the p-values are simultaneous for all entries and runs.
    """
    row = METRICS[metric]
    sign = 1.0 if row.higher_is_better else -1.0
    resamples = Resamples({"\0".join(key): of for key, of in values.items()}, unit, size)
    better = {
        (entry, name): sign * (of - values[entry, reference])
        for (entry, name), of in values.items()
        if (entry, reference) in values
    }
    others = [of for (_, name), of in better.items() if name != reference]
    joint = all_of(resamples, others if len(others) > 1 else [])
    alpha = score_alpha(resamples.defined())
    entries = []
    for (entry, name), of in values.items():
        value, error = float(of[0]), resamples.error(of)
        of_better = better.get((entry, name), np.full(2, np.nan))
        difference, half = float(of_better[0]), joint.critical * resamples.error(of_better)
        entries.append(
            ComparedEntry(
                name, entry, value, *interval(row, value, error, size, alpha), difference,
                difference - half, difference + half,
                joint.p_value(difference, resamples.error(of_better)),
            )
        )  # fmt: skip
    return entries


def _notes(
    values: Mapping[tuple[str, str], Values], reference: str, size: SampleSize, unit: str
) -> list[str]:
    """Return the notes on the coverage of the intervals and on the tests that were made."""
    is_compared = any(name != reference and (entry, reference) in values for entry, name in values)
    nothing = [
        f"No entry of {reference} is in another run, so there are no differences. Run the same "
        "classifiers in all runs."
    ]
    kind, _, column = unit.partition(" of ")
    units = f"{size.n_units} {kind}{'s' if size.n_units > 1 else ''}{column and f' of {column!r}'}"
    return [
        f"Intervals and p-values are simultaneous for all {len(values)} rows (max-T). They "
        f"account for the choice of {units}, but not for the choice of training images.",
        *([] if is_compared else nothing),
    ]


def _named_runs(runs: Runs, report: Report) -> dict[str, Benchmark]:
    """Return the runs by name, and read the runs that are folders."""
    if isinstance(runs, Mapping):
        names = list(runs)
        values = list(runs.values())
    else:
        values = list(runs)
        names = [f"run {i}" if isinstance(run, Benchmark) else str(run)
                 for i, run in enumerate(values, start=1)]  # fmt: skip
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(
            "a comparison needs two or more runs with different names, got "
            f"{', '.join(names) or 'none'}. Pass the results or the folders of the runs"
        )
    loaded = {}
    for done, (name, run) in enumerate(zip(names, values, strict=True)):
        report(Phase("loading", done, len(names), "runs", detail=name))
        loaded[name] = run if isinstance(run, Benchmark) else Benchmark.load(run)
    return loaded


def _tested_rows(run: Benchmark) -> dict[bytes, int]:
    """Map the content hash of each tested image to the number of its first row.

    Only the images that the trials of `Benchmark.headline` tested are included.
    """
    tested = np.any([outcome.fold >= 0 for outcome in run.headline], axis=0)
    firsts = np.unique(run.files, return_index=True)[1]
    rows: dict[bytes, int] = {}
    for row in sorted(firsts[tested[firsts]].tolist()):
        rows.setdefault(bytes(run.keys[row]), row)
    return rows


def _values(
    run: Benchmark,
    entry: str,
    metric: str,
    position: Mapping[bytes, int],
    weights: NDArray[np.uint8],
) -> Values:
    """Compute the metric on the common images and on every bootstrap draw, averaged over trials.

    The first value of the result is the metric on the images themselves.
    """
    by_trial: list[Values] = []
    for outcome in run.headline:
        ys: list[NDArray[np.int64]] = []
        ps: list[Values] = []
        positions: list[NDArray[np.int64]] = []
        for fold in range(len(outcome.trial.splits)):
            tested = run.tested(outcome, entry, fold)
            p = tested.p
            if metric in DECIDED and tested.threshold is not None:
                p = np.eye(2)[decide(p, tested.threshold)]
            indices = np.array([position.get(bytes(key), -1) for key in run.keys[tested.row]])
            ys.append(tested.y[indices >= 0])
            ps.append(p[indices >= 0])
            positions.append(indices[indices >= 0])
        columns = np.concatenate(positions).astype(np.int64)
        y, p = np.concatenate(ys), np.concatenate(ps)
        by_trial.append(metric_of_draws(y, p, metric, weights[:, columns]))
    return mean_defined(by_trial)
