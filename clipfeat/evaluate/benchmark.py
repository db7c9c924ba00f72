"""The benchmark: every classifier and their votes on the same trials.

Out-of-fold probabilities are kept, so that votes, and whatever is asked of them later, refit
nothing. A threshold, and the weights of a vote that learns, are chosen inside the training rows of
each fold, on probabilities that are out of fold there: three further fits of each classifier on two
thirds of those rows, about three times the time; a bag's own members say it for nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatError, DataError
from clipfeat.evaluate.calibration import miscalibration
from clipfeat.evaluate.cells import Cell, Settings
from clipfeat.evaluate.keeping import LIBRARIES
from clipfeat.evaluate.metrics import score
from clipfeat.evaluate.protocols import Protocol, Trial, plan
from clipfeat.evaluate.result import Benchmark, Outcome, tested_rows
from clipfeat.evaluate.running import cell_runner
from clipfeat.evaluate.thresholds import Chooser, oracle, threshold_chooser
from clipfeat.evaluate.votes import GIVEN, TITLES, UNIFORM, cast, parse_votes
from clipfeat.features import FeatureSet, stack
from clipfeat.spec import EncoderSpec, titles
from clipfeat.zoo import CHANCE, parse_names, pick_threads
from clipfeat.zoo.recipe import check_recipe
from clipfeat.zoo.tuning import check_time_limit

VOTE = TITLES[UNIFORM]
COSTS = ("fit_seconds", "predict_seconds", "model_bytes")


@dataclass(frozen=True)
class Step:
    """One finished cell of a benchmark, for a progress bar."""

    done: int
    total: int
    entry: str
    fold: str


@dataclass(frozen=True)
class Voting:
    """Which votes are cast.

    Parameters
    ----------
    hows : sequence of str
        Of `clipfeat.evaluate.votes.VOTES`, and `GIVEN`.
    given : mapping of str to float, optional
        A weight by entry, for `GIVEN`.
    """

    hows: Sequence[str] = (UNIFORM,)
    given: Mapping[str, float] | None = None

    @property
    def learns(self) -> bool:
        """Whether any of them needs probabilities of the training rows."""
        return bool(set(self.hows) - {UNIFORM, GIVEN})


def benchmark(
    features: FeatureSet,
    clf: str | Sequence[str] = "all",
    *,
    cv: int = 5,
    leave_one_out: str | None = None,
    matrix: str | None = None,
    few_shot: Sequence[int] = (),
    test: FeatureSet | None = None,
    repeats: int | None = None,
    seed: int = 0,
    balance: bool | str = False,
    accelerate: bool = True,
    calibrate: str = "none",
    bag: int = 0,
    threshold: str | None = None,
    max_fpr: float | None = None,
    vote: str | Sequence[str] = UNIFORM,
    vote_weights: Sequence[float] | None = None,
    tune: bool = False,
    time_limit: float | None = None,
    keep: str | Path | None = None,
    n_jobs: int | None = None,
    progress: Callable[[Step], None] = lambda step: None,
) -> Benchmark:
    """Compare classifiers and their soft vote on the same rows.

    Parameters
    ----------
    features : FeatureSet
        Labelled images; rows without a label are left out. With several encoders, every classifier
        runs on each, and all of them vote. Frames, faces and views of one file are trained on as
        rows and scored as one, by their average.
    clf : str or sequence of str
        ``"all"``, or names of the zoo.
    cv : int
        Number of stratified folds; groups are never split.
    leave_one_out : str, optional
        A column each of whose values is held out in turn, in place of `cv`: ``"generator"``.
    matrix : str, optional
        A column on each of whose values is trained in turn, and on each is tested.
    few_shot : sequence of int, optional
        Numbers of training images of each class: 10, 100, 1000.
    test : FeatureSet, optional
        Of the same encoders: train on all of `features` and test on these. Images that are in both
        are left out of the training, with a warning; groups may be in both.
    repeats : int, optional
        How often, each with a seed of its own; None is once, and 5 draws for `few_shot`. See
        `clipfeat.evaluate.protocols.plan`.
    seed : int
        Of the folds and the classifiers.
    balance : bool or str
        Whether all classes count alike, and how: one of `clipfeat.zoo.balance.BALANCES`.
    accelerate : bool
        Whether scikit-learn-intelex, or a GPU, fits what it can, where it is there.
    calibrate, bag
        As in `clipfeat.zoo.recipe.build`: ``"sigmoid"``, 5.
    threshold, max_fpr
        As `metric` and `max_fpr` in `clipfeat.evaluate.thresholds.threshold_chooser`: decisions by
        a threshold that is chosen inside each training, at about three times the time.
    vote : str or sequence of str
        Of `clipfeat.evaluate.votes.VOTES`, or ``"all"``: how the classifiers vote. Each is an
        entry; those that learn take about three times the time.
    vote_weights : sequence of float, optional
        A weight of each entry that votes, in their order: one more vote.
    tune : bool
        Whether each classifier's parameters are searched for inside each training; see
        `clipfeat.zoo.tuning`.
    time_limit : float, optional
        Seconds for each classifier, all its folds and searches. Searches end in time for it; what
        takes longer is stopped, and is among the errors. Cells then run in a process of their own.
    keep : path, optional
        A folder for finished cells, which are not fitted again by a later call; see
        `clipfeat.evaluate.keeping`.
    n_jobs : int, optional
        Threads; None is one for small data, else all processors.
    progress : callable
        Told after each cell.

    Returns
    -------
    Benchmark
        An entry that fails is in its ``errors``; the others go on.

    Raises
    ------
    LabelError
        If there are no labels, one class, or a class with fewer images (or groups) than folds.
    UsageError
        If several protocols are asked for, a threshold is asked for and there are not two classes,
        or weights do not fit.
    FingerprintError
        If `test` is of another encoder.
    """
    names = parse_names(clf)
    check_recipe(calibrate, bag, balance)
    data = features.labelled()
    n_given = None
    if test is not None:
        data, n_given = stack(data, test)
    choose = threshold_chooser(threshold, max_fpr, data.classes)
    check_time_limit(time_limit)
    protocol = plan(
        data, cv=cv, leave_out=leave_one_out, matrix=matrix, few_shot=few_shot, n_given=n_given,
        repeats=repeats, seed=seed,
    )  # fmt: skip
    voting = parse_voting(vote, vote_weights, entry_names(names, data.specs))
    settings = Settings(
        balance, accelerate, calibrate, bag, tune, inner=choose is not None or voting.learns
    )
    return run_protocol(
        data,
        names,
        protocol,
        settings,
        choose=choose,
        voting=voting,
        time_limit=time_limit,
        keep=None if keep is None else Path(keep),
        n_jobs=n_jobs,
        progress=progress,
        about={
            "seed": seed,
            "unlabelled": len(features) - int((features.y >= 0).sum()),
            "threshold_by": threshold if max_fpr is None else f"max_fpr {max_fpr:g}",
        },
    )


def parse_voting(
    vote: str | Sequence[str],
    weights: Sequence[float] | None,
    entries: Mapping[str, tuple[str, slice]],
) -> Voting:
    """Read which votes are asked for; see `clipfeat.evaluate.votes.parse_votes`."""
    able = [entry for entry, (name, _) in entries.items() if name != CHANCE]
    hows = parse_votes(vote, weights, able)
    given = None if weights is None else dict(zip(able, weights, strict=True))
    return Voting(hows if len(able) > 1 else [how for how in hows if how == GIVEN], given)


def run_protocol(
    data: FeatureSet,
    names: Sequence[str],
    protocol: Protocol,
    settings: Settings,
    *,
    choose: Chooser | None = None,
    voting: Voting,
    time_limit: float | None = None,
    spare: int | None = None,
    keep: Path | None = None,
    n_jobs: int | None = None,
    progress: Callable[[Step], None] = lambda step: None,
    about: Mapping[str, Any],
) -> Benchmark:
    """Run every entry on every fold of every trial; see `benchmark`.

    Parameters
    ----------
    data : FeatureSet
        Labelled, without rows that have no label.
    names : sequence of str
        Of the zoo.
    protocol : Protocol
        Its trials.
    settings : Settings
        What is asked of every classifier.
    choose : callable, optional
        Of `clipfeat.evaluate.thresholds.threshold_chooser`; `settings` then has `inner`.
    voting : Voting
        Which votes are cast.
    time_limit : float, optional
        Seconds for each entry, by which its searches end; what takes longer is stopped.
    spare : int, optional
        Instead, the limit is for all entries together, and is to do for so many fits more.
    keep, n_jobs, progress
        As in `benchmark`.
    about : mapping
        What else is to be kept of how it was run.
    """
    begun = time.monotonic()
    entries = entry_names(names, data.specs)
    threads = pick_threads(n_jobs, data.X.size)
    groups = data.split_groups
    outcomes: list[Outcome] = []
    rows: list[dict[str, Any]] = []
    errors: dict[str, str] = {}
    votes: dict[str, dict[str, list[float]]] = {}
    tuned: dict[str, Any] = {}
    turns = len(entries) * sum(len(trial.splits) for trial in protocol.trials)
    done = 0
    with cell_runner(
        (data.X, data.y, groups), len(data.classes), settings, names=names, n_jobs=threads,
        time_limit=time_limit, together=spare is not None, keep=keep,
    ) as run:  # fmt: skip
        for trial in protocol.trials:
            where = f"{trial.name}, " if len(protocol.trials) > 1 else ""
            cells: dict[str, list[Cell]] = {entry: [] for entry in entries}
            for fold, split in trial.splits.items():
                for entry, (name, columns) in entries.items():
                    try:
                        if entry in cells:
                            cell = run(
                                entry, name, columns, split, seed=trial.seed,
                                turns=(turns - done - 1) // len(entries) + 1
                                if spare is None
                                else turns - done + spare,
                                measure_size=not cells[entry],
                            )  # fmt: skip
                            cells[entry].append(cell)
                    except Exception as error:
                        # A classifier is anybody's code: what it raises is its own row's matter.
                        text = str(error) if isinstance(error, ClipfeatError) else repr(error)
                        errors.setdefault(entry, f"{where}fold {fold}: {text}")
                        del cells[entry]
                    done += 1
                    progress(Step(done, turns, entry, where + fold))
            for entry, fold, found in _tuned(cells, where, list(trial.splits)):
                tuned.setdefault(entry, {})[fold] = found
            members = {e: of_entry for e, of_entry in cells.items() if entries[e][0] != CHANCE}
            for how in voting.hows if len(members) > 1 else ():
                title = TITLES[how]
                try:
                    cells[title], weights = cast(
                        how, members, list(trial.splits.values()), data.y, voting.given
                    )
                except ClipfeatError as error:
                    errors.setdefault(title, str(error))
                else:
                    of_vote = votes.setdefault(title, {})
                    for entry, of_folds in weights.items():
                        of_vote.setdefault(entry, []).extend(of_folds)
            if cells:
                outcomes.append(_outcome(trial, cells, data, choose))
                rows += _rows(data, outcomes[-1], cells)
    if not outcomes:
        raise DataError(
            f"no classifier could be fitted: {'; '.join(map(': '.join, errors.items()))}"
        )
    voters = [
        entry for entry, (name, _) in entries.items()
        if name != CHANCE and any(entry in one.probabilities for one in outcomes)
    ]  # fmt: skip
    first = outcomes[0].probabilities
    how_run = {
        "protocol": protocol.name,
        "column": protocol.column,
        **{k: v for k, v in asdict(settings).items() if k not in ("accelerate", "inner")},
        "images": len(data),
        "groups": None if groups is None else len(np.unique(groups)),
        "grouped": data.groups is not None,
        "per_class": dict(zip(data.classes, np.bincount(data.y).tolist(), strict=True)),
        "voters": voters,
        "votes": votes,
        "time_limit": time_limit,
        "seconds": time.monotonic() - begun,
        "tuned": tuned,
        "versions": {name: version(name) for name in LIBRARIES},
        "uncalibrated": _uncalibrated(data.y, {e: first[e] for e in voters if e in first}),
        **about,
    }
    return Benchmark(
        rows, outcomes, data.y, data.classes, data.paths, data.specs, data.files, groups,
        data.columns, errors, how_run,
    )  # fmt: skip


def _outcome(
    trial: Trial, cells: Mapping[str, Sequence[Cell]], data: FeatureSet, choose: Chooser | None
) -> Outcome:
    """A trial's cells side by side, row by row, and the thresholds that they choose."""
    fold_of = np.full(len(data), -1)
    probabilities = {entry: np.full((len(data), len(data.classes)), np.nan) for entry in cells}
    thresholds: dict[str, list[float]] = {}
    for number, (train, test) in enumerate(trial.splits.values()):
        fold_of[test] = number
        for entry, of_entry in cells.items():
            cell = of_entry[number]
            probabilities[entry][test] = cell.test
            if choose is not None and cell.train is not None:
                thresholds.setdefault(entry, []).append(choose(data.y[train], cell.train))
    return Outcome(trial, fold_of, probabilities, thresholds)


def _rows(
    data: FeatureSet, outcome: Outcome, cells: Mapping[str, Sequence[Cell]]
) -> list[dict[str, Any]]:
    """The tidy rows of one trial."""
    trial = outcome.trial
    tidy: list[dict[str, Any]] = []
    for entry, of_entry in cells.items():
        encoder = entry.partition(" @ ")[2] or " + ".join(spec.title for spec in data.specs)
        for number, fold in enumerate(trial.splits):
            costs = of_entry[number].costs
            seconds = costs.get("fit_seconds", 0.0) + costs.get("predict_seconds", 0.0)
            common = {
                "encoder": encoder, "classifier": entry, "seed": trial.seed,
                "trained_on": trial.trained_on, "n_train": trial.n_train, "fold": fold,
            }  # fmt: skip
            for piece, among in trial.pieces.items():
                tested = tested_rows(data.y, data.files, outcome, entry, number, among)
                if not len(tested.y):
                    continue
                values = score(tested.y, tested.p, tested.threshold, data.classes)
                values |= oracle(tested.y, tested.p)
                tidy += [
                    {**common, "tested_on": piece, "metric": m, "value": v, "seconds": seconds}
                    for m, v in values.items()
                ]
            tidy += [
                {**common, "tested_on": "", "metric": m, "value": v, "seconds": seconds}
                for m, v in costs.items()
            ]
    return tidy


def _tuned(
    cells: Mapping[str, Sequence[Cell]], where: str, folds: Sequence[str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What was chosen, by entry and fold, of those classifiers that have something to tune."""
    for entry, of_entry in cells.items():
        for fold, cell in zip(folds, of_entry, strict=True):
            if cell.tuned is not None and (cell.tuned.tried or cell.tuned.out_of_time):
                yield entry, where + fold, asdict(cell.tuned)


def _uncalibrated(
    y: NDArray[np.int64], probabilities: Mapping[str, NDArray[np.float64]]
) -> dict[str, float]:
    """The calibration errors of those whose probabilities may not be taken at their word."""
    found = {}
    for entry, p in probabilities.items():
        tested = ~np.isnan(p[:, 0])
        if (error := miscalibration(y[tested], p[tested])) is not None:
            found[entry] = error
    return found


def entry_names(names: Sequence[str], specs: Sequence[EncoderSpec]) -> dict[str, tuple[str, slice]]:
    """The (classifier, columns) of every entry, by the name it has in tables.

    One encoder's entries are named by the classifier alone; several encoders' as
    ``"svm @ timm:resnet50.a1_in1k 224px"``.
    """
    if len(specs) < 2:
        return {name: (name, slice(None)) for name in names}
    ends = np.cumsum([spec.n_features for spec in specs]).tolist()
    return {
        f"{name} @ {title}": (name, slice(end - spec.n_features, end))
        for title, spec, end in zip(titles(specs), specs, ends, strict=True)
        for name in names
    }
