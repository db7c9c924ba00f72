"""Running a protocol: every entry on every fold of every trial, and the votes among them."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clipfeat.errors import ClipfeatError, DataError
from clipfeat.evaluate.calibration import miscalibration
from clipfeat.evaluate.metrics import score
from clipfeat.evaluate.protocols import Protocol, Trial
from clipfeat.evaluate.result import Benchmark, Outcome, tested_rows
from clipfeat.evaluate.splits import shared_rows
from clipfeat.evaluate.thresholds import Chooser, oracle
from clipfeat.evaluate.votes import GIVEN, TITLES, UNIFORM, cast, parse_votes
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import one_per_file
from clipfeat.fits.cache import versions
from clipfeat.fits.cells import Cell, CellSpec
from clipfeat.fits.on_ray import Executor
from clipfeat.fits.running import Result, RunCell, run_cells
from clipfeat.spec import EncoderSpec, titles
from clipfeat.zoo import CHANCE
from clipfeat.zoo.fit_options import FitOptions

VOTE = TITLES[UNIFORM]


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
    options: FitOptions,
    *,
    choose: Chooser | None = None,
    voting: Voting,
    time_limit: float | None = None,
    spare: int | None = None,
    cache: Path | None = None,
    n_jobs: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[Step], None] = lambda step: None,
    about: Mapping[str, Any],
    run: RunCell | None = None,
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
    options : FitOptions
        Options of all classifiers.
    choose : callable, optional
        Chooses a threshold, from `clipfeat.evaluate.thresholds.threshold_chooser`. The training
        rows are then predicted out of fold.
    voting : Voting
        Which votes are cast.
    time_limit : float, optional
        Seconds for each entry, by which its searches end; what takes longer is stopped.
    spare : int, optional
        Instead, the limit is for all entries together, and is to do for so many fits more.
    cache, n_jobs, progress
        As in `benchmark`.
    executor : callable, optional
        Executor on a Ray cluster, from `clipfeat.fits.on_ray.ray_executor`.
    about : mapping
        What else is to be kept of how it was run.
    run : callable, optional
        Replacement for `clipfeat.fits.cells.run_cell`.
    """
    begun = time.monotonic()
    entries = entry_names(names, data.specs)
    groups = data.split_groups
    specs = _cell_specs(protocol, entries, spare)
    results = run_cells(
        specs, (data.X, data.y, groups), len(data.classes), options,
        out_of_fold=choose is not None or voting.learns, n_jobs=n_jobs, time_limit=time_limit,
        together=spare is not None, cache=cache, executor=executor, run=run,
    )  # fmt: skip
    with closing(results):
        fitted, errors = _gathered(len(protocol.trials), specs, results, progress)
    outcomes: list[Outcome] = []
    rows: list[dict[str, Any]] = []
    votes: dict[str, dict[str, list[float]]] = {}
    tuned: dict[str, dict[str, Any]] = {}
    for trial, cells in zip(protocol.trials, fitted, strict=True):
        for entry, fold, found in _tuned(cells, _where(protocol, trial), list(trial.splits)):
            tuned.setdefault(entry, {})[fold] = found
        # A vote has the same members in all trials that are averaged.
        alike = [of for t, of in zip(protocol.trials, fitted, strict=True)
                 if t.n_train == trial.n_train]  # fmt: skip
        members = {
            entry: of_entry
            for entry, of_entry in cells.items()
            if entries[entry][0] != CHANCE and all(entry in of for of in alike)
        }
        voted = dict(cells)
        for title, cast_vote in _votes(trial, members, data, voting):
            if isinstance(cast_vote, ClipfeatError):
                errors.setdefault(title, str(cast_vote))
                continue
            voted[title], weights = cast_vote
            of_vote = votes.setdefault(title, {})
            for entry, of_folds in weights.items():
                of_vote.setdefault(entry, []).extend(of_folds)
        if voted:
            outcomes.append(_outcome(trial, voted, data, choose))
            rows += _rows(data, outcomes[-1], voted)
    if not outcomes:
        raise DataError(
            f"no classifier could be fitted: {'; '.join(map(': '.join, errors.items()))}"
        )
    result = Benchmark(
        rows, outcomes, data.y, data.classes, data.paths, data.specs, data.files, data.keys, groups,
        data.columns, errors,
    )  # fmt: skip
    voters = [e for e in result.entries if e in entries and entries[e][0] != CHANCE]
    how_run = {
        "protocol": protocol.name,
        "column": protocol.column,
        "shared": int(shared_rows(data, protocol.column).sum()) if protocol.column else 0,
        **{k: v for k, v in options.record().items() if k != "accelerate"},
        "images": len(data),
        "groups": None if groups is None else len(np.unique(groups)),
        "grouped": data.groups is not None,
        "per_class": dict(zip(data.classes, np.bincount(data.y).tolist(), strict=True)),
        "voters": voters,
        "votes": votes,
        "time_limit": time_limit,
        "seconds": time.monotonic() - begun,
        "tuned": tuned,
        "versions": versions(),
        "uncalibrated": _uncalibrated(result, voters),
        **about,
    }
    return replace(result, about=how_run)


def _where(protocol: Protocol, trial: Trial) -> str:
    return f"{trial.name}, " if len(protocol.trials) > 1 else ""


def _cell_specs(
    protocol: Protocol, entries: Mapping[str, tuple[str, slice]], spare: int | None
) -> list[CellSpec]:
    """List all cells, in the order of the results."""
    total = len(entries) * sum(len(trial.splits) for trial in protocol.trials)
    specs: list[CellSpec] = []
    for number, trial in enumerate(protocol.trials):
        for at, (fold, split) in enumerate(trial.splits.items()):
            where = f"{_where(protocol, trial)}fold {fold}"
            for entry, (name, columns) in entries.items():
                left = total - len(specs)
                n_left = (left - 1) // len(entries) + 1 if spare is None else left + spare
                specs.append(
                    CellSpec(
                        number, where, entry, name, columns, split, trial.seed, n_left, at == 0
                    )
                )
    return specs


def _gathered(
    n_trials: int,
    specs: Sequence[CellSpec],
    results: Iterable[tuple[int, Result]],
    progress: Callable[[Step], None],
) -> tuple[list[dict[str, list[Cell]]], dict[str, str]]:
    """Every entry's cells, trial by trial, and why some have none in a trial.

    In the order in which they were asked for, whichever ended first.
    """
    by_number: dict[int, Result] = {}
    for number, result in results:
        by_number[number] = result
        progress(Step(len(by_number), len(specs), specs[number].entry, specs[number].where))
    fitted: list[dict[str, list[Cell]]] = [{} for _ in range(n_trials)]
    failed: set[tuple[int, str]] = set()
    errors: dict[str, str] = {}
    for number, spec in enumerate(specs):
        result = by_number[number]
        if (spec.trial, spec.entry) in failed:
            continue
        if isinstance(result, Cell):
            fitted[spec.trial].setdefault(spec.entry, []).append(result)
            continue
        text = str(result) if isinstance(result, ClipfeatError) else repr(result)
        errors.setdefault(spec.entry, f"{spec.where}: {text}")
        failed.add((spec.trial, spec.entry))
        fitted[spec.trial].pop(spec.entry, None)
    return fitted, errors


def _votes(
    trial: Trial, members: Mapping[str, Sequence[Cell]], data: FeatureSet, voting: Voting
) -> Iterator[tuple[str, tuple[list[Cell], dict[str, list[float]]] | ClipfeatError]]:
    """Cast each vote of a trial: its title, and its cells and weights or why there are none."""
    for how in voting.hows if len(members) > 1 else ():
        try:
            splits = list(trial.splits.values())
            yield TITLES[how], cast(how, members, splits, data.y, data.files, voting.given)
        except ClipfeatError as error:
            yield TITLES[how], error


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
                y, p, _ = one_per_file(data.y[train], cell.train, data.files[train])
                thresholds.setdefault(entry, []).append(choose(y, p))
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


def _uncalibrated(run: Benchmark, entries: Sequence[str]) -> dict[str, float]:
    """The calibration errors of those whose probabilities may not be taken at their word."""
    found = {}
    for entry in entries:
        said = [
            run.tested(outcome, entry, fold)
            for outcome in run.headline
            for fold in range(len(outcome.trial.splits))
            if entry in outcome.probabilities
        ]
        if said:
            y, p = np.concatenate([t.y for t in said]), np.concatenate([t.p for t in said])
            if (error := miscalibration(y, p)) is not None:
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
