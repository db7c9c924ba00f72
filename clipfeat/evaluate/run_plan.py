"""Run a plan: fit every classifier on every fold of every trial, and compute the votes.

A cell is one classifier on one fold. An entry is a classifier on the features of one encoder, or a
vote.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatError, DataError
from clipfeat.evaluate.entries import Entries, entry_names
from clipfeat.evaluate.external_scores import ScoredEntries, Scores, split_entries
from clipfeat.evaluate.plan import Plan, Trial
from clipfeat.evaluate.result import Benchmark, Outcome
from clipfeat.evaluate.scoring import make_outcome, score_outcome, uncalibrated
from clipfeat.evaluate.splits import shared_rows
from clipfeat.evaluate.threshold_rows import holds_out, threshold_rows
from clipfeat.evaluate.thresholds import (
    check_negatives,
    effective_number,
    threshold_chooser,
    warn_of_few_groups,
)
from clipfeat.evaluate.validation import validation_record
from clipfeat.evaluate.votes import VOTE_TITLES, Voting, cast_vote
from clipfeat.features import FeatureSet
from clipfeat.features.classes import positive_by
from clipfeat.fits.cells import Cell, CellSpec
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.on_ray import Executor
from clipfeat.fits.running import Result, RunCell, run_cells
from clipfeat.system.progress import Phase, Report, silent
from clipfeat.zoo import CHANCE
from clipfeat.zoo.calibration import ALWAYS_CALIBRATED, MIN_GROUPS
from clipfeat.zoo.fit_options import FitOptions

Cells = Mapping[str, Sequence[Cell]]
"""For each entry, its cells in one trial, one per fold."""


def run_plan(
    plan: Plan,
    names: Sequence[str | Scores],
    options: FitOptions,
    resources: FitResources,
    *,
    voting: Voting,
    spare: int | None = None,
    cache: Path | None = None,
    executor: Executor | None = None,
    run: RunCell | None = None,
    report: Report = silent,
) -> Benchmark:
    """Run every entry on every fold of every trial.

    Parameters
    ----------
    plan : Plan
        Plan of the run, from the ``plan`` method of a protocol.
    names : sequence of str or Scores
        Names of classifiers, and scores of detectors that are not fitted.
    options : FitOptions
        Options of all classifiers.
    resources : FitResources
        Threads and time limit.
    voting : Voting
        The votes.
    spare : int, optional
        Number of further fits after the run. Time is reserved for these fits, and the time limit
        applies to all entries together. If None, each entry has its own time limit.
    cache : Path, optional
        Folder for finished cells. None does not cache them.
    executor : callable, optional
        Executor on a Ray cluster, from `clipfeat.fits.on_ray.ray_executor`.
    run : callable, optional
        Function that replaces `clipfeat.fits.cells.run_cell`.
    report : callable
        Called with a `Phase` before the first cell, after each cell, and before the scores.

    Returns
    -------
    Benchmark
        Scores and out-of-fold probabilities. Entries that fail are listed in ``Benchmark.errors``.

    Raises
    ------
    DataError
        If every entry fails. If a training set has too few negatives for `max_fpr`.
    """
    begun = time.monotonic()
    features = plan.features
    options, requested = options.resolved(plan.balance), options
    choose = threshold_chooser(options, features.classes)
    classifiers, scores = split_entries(names)
    entries = entry_names(classifiers, features.specs)
    external = ScoredEntries.of(
        scores, plan, [*entries, *VOTE_TITLES.values()], choosing=options.decides
    )
    groups = features.split_groups
    specs = _cell_specs(plan, entries, spare, options)
    if options.max_fpr is not None:
        _check_negatives(plan, options.max_fpr, specs)
    validates = any(trial.validation is not None for trial in plan.trials)
    learns = choose is not None or voting.learns
    results = run_cells(
        specs, (features.X, features.y, groups), len(features.classes), options, resources,
        out_of_fold=learns and not validates, together=spare is not None, cache=cache,
        executor=executor, run=run,
    )  # fmt: skip
    with closing(results):
        fitted, errors = _gather(plan.trials, specs, results, report)
    report(Phase("scoring"))
    outcomes: list[Outcome] = []
    scored: list[tuple[Outcome, Cells]] = []
    rows: list[dict[str, Any]] = []
    votes: dict[str, dict[str, list[float]]] = {}
    tuned: dict[str, dict[str, Any]] = {}
    for trial, cells in zip(plan.trials, fitted, strict=True):
        for entry, fold, search in _searches(cells, _prefix(plan, trial), list(trial.splits)):
            tuned.setdefault(entry, {})[fold] = search
        # A vote must have the same members in all trials that a leaderboard averages.
        averaged = [of for t, of in zip(plan.trials, fitted, strict=True)
                    if t.n_train == trial.n_train]  # fmt: skip
        members = {
            entry: of_entry
            for entry, of_entry in cells.items()
            if entries[entry][0] != CHANCE and all(entry in of for of in averaged)
        }
        with_votes = {**cells, **external.cells(trial)}
        for title, result in _cast_votes(trial, members, features, voting):
            if isinstance(result, ClipfeatError):
                errors.setdefault(title, str(result))
                continue
            with_votes[title], weights = result
            of_vote = votes.setdefault(title, {})
            for entry, of_folds in weights.items():
                of_vote.setdefault(entry, []).extend(of_folds)
        if with_votes:
            outcomes.append(make_outcome(features, trial, with_votes, choose, external))
            scored.append((outcomes[-1], with_votes))
            by_value = bool(plan.column) and not trial.trained_on
            rows += score_outcome(features, outcomes[-1], with_votes, external, by_value=by_value)
    if not outcomes:
        raise DataError(
            f"no classifier could be fitted: {'; '.join(map(': '.join, errors.items()))}"
        )
    benchmark = Benchmark(
        rows, outcomes, features.y, features.classes, features.paths, features.specs,
        features.files, features.keys, groups, features.columns, errors,
    )  # fmt: skip
    voters = [e for e in benchmark.entries if e in entries and entries[e][0] != CHANCE]
    about = {
        "protocol": plan.name,
        "column": plan.column,
        "shared": int(shared_rows(features, plan.column).sum()) if plan.column else 0,
        **{k: v for k, v in options.record().items() if k != "accelerate"},
        "balanced_by_default": options.balances and not requested.balances,
        "images": len(features),
        "groups": None if groups is None else len(np.unique(groups)),
        "grouped": features.groups is not None,
        "positive": features.positive,
        "positive_by": positive_by(features.classes, options.positive),
        "per_class": dict(zip(features.classes, np.bincount(features.y).tolist(), strict=True)),
        "voters": voters,
        "votes": votes,
        **_few_groups(plan, classifiers, options),
        "time_limit": resources.time_limit,
        "seconds": time.monotonic() - begun,
        "tuned": tuned,
        "uncalibrated": uncalibrated(benchmark, voters),
        "threshold_by": options.threshold_rule,
        "caveats": list(plan.caveats),
        "validation": validation_record(features, scored, external.scaled),
        "scores": external.record(),
    }
    return replace(benchmark, about=about)


def _check_negatives(plan: Plan, max_fpr: float, specs: Sequence[CellSpec]) -> None:
    """Check that every training set has enough negatives, before any fit.

    Warns
    -----
    ClipfeatWarning
        If a training set has too few independent groups of negatives.
    """
    features = plan.features
    groups = features.split_groups
    n_independent: list[int] = []

    def check(rows: NDArray[np.int64], chosen_on: NDArray[np.int64], where: str, of: str) -> None:
        negatives = rows[features.y[rows] == 0]
        n_files = len(np.unique(features.files[negatives]))
        check_negatives(max_fpr, n_files, features.classes[0], where, held_out_for=of)
        if groups is not None:
            negatives = chosen_on[features.y[chosen_on] == 0]
            first = np.unique(features.files[negatives], return_index=True)[1]
            n_independent.append(effective_number(groups[negatives[first]]))

    for spec in specs:
        if spec.threshold_rows is not None:
            check(spec.split[0], spec.threshold_rows, spec.where, spec.entry)
    for trial in plan.trials:
        for fold, (train, _) in trial.splits.items():
            rows = trial.choice_rows(train)
            check(rows, rows, f"{_prefix(plan, trial)}fold {fold}", "")
    if n_independent:
        warn_of_few_groups(max_fpr, min(n_independent), features.classes[0])


def _few_groups(plan: Plan, names: Sequence[str], options: FitOptions) -> dict[str, int]:
    """Return ``few_groups``, the smallest number of groups in a training set.

    The result is empty if this number is `MIN_GROUPS` or more, if there are no groups, or if no
    classifier is calibrated.
    """
    groups = plan.features.split_groups
    calibrates = options.calibrate != "none" or any(
        name.rpartition("+")[2] in ALWAYS_CALIBRATED for name in names
    )
    if groups is None or not calibrates:
        return {}
    training_sets = [train for trial in plan.trials for train, _ in trial.splits.values()]
    n = min(len(np.unique(groups[train])) for train in training_sets)
    return {"few_groups": n} if n < MIN_GROUPS else {}


def _prefix(plan: Plan, trial: Trial) -> str:
    """Return the prefix of a fold's name: the trial's name if there are several trials."""
    return f"{trial.name}, " if len(plan.trials) > 1 else ""


def _cell_specs(
    plan: Plan, entries: Entries, spare: int | None, options: FitOptions
) -> list[CellSpec]:
    """List the specifications of all cells."""
    # `clipfeat.fit` combines the entries in one model, so all entries hold out the same rows.
    in_model = [name for name, _ in entries.values()] if spare is not None else []
    total = len(entries) * sum(len(trial.splits) for trial in plan.trials)
    specs: list[CellSpec] = []
    for number, trial in enumerate(plan.trials):
        for fold_index, (fold, (train, test)) in enumerate(trial.splits.items()):
            # A validation set is predicted together with the test rows; see `_without_validation`.
            predicted = test if trial.validation is None else np.append(test, trial.validation)
            split = train, predicted
            where = f"{_prefix(plan, trial)}fold {fold}"
            held_out: NDArray[np.int64] | None = None
            for entry, (name, columns) in entries.items():
                holds = trial.validation is None and holds_out(in_model or [name], options)
                if holds and held_out is None:
                    held_out = threshold_rows(plan.features, train, options, trial.seed)
                left = total - len(specs)
                n_left = (left - 1) // len(entries) + 1 if spare is None else left + spare
                specs.append(
                    CellSpec(
                        number, where, entry, name, columns, split, trial.seed, n_left,
                        fold_index == 0, held_out if holds else None,
                    )
                )  # fmt: skip
    return specs


def _gather(
    trials: Sequence[Trial],
    specs: Sequence[CellSpec],
    results: Iterable[tuple[int, Result]],
    report: Report,
) -> tuple[list[dict[str, list[Cell]]], dict[str, str]]:
    """Collect the cells of each trial and entry, and the first error of each entry that failed.

    The cells and errors are in the order of `specs`, which may differ from the order in which the
    cells finish. If an entry fails on one fold, all its cells of that trial are left out.
    """
    by_number: dict[int, Result] = {}
    waiting = dict.fromkeys(range(len(specs)))
    n_failed = 0

    def report_cells() -> None:
        # Boosted trees and cells on Ray run out of order. The detail is the first unfinished cell.
        first = next(iter(waiting), None)
        detail = "" if first is None else f"{specs[first].entry}, {specs[first].where}"
        report(Phase("fitting", len(by_number), len(specs), "fits", n_failed, detail))

    report_cells()
    for number, result in results:
        by_number[number] = result
        del waiting[number]
        n_failed += isinstance(result, Exception)
        report_cells()
    fitted: list[dict[str, list[Cell]]] = [{} for _ in trials]
    failed: set[tuple[int, str]] = set()
    errors: dict[str, str] = {}
    for number, spec in enumerate(specs):
        result = by_number[number]
        if (spec.trial, spec.entry) in failed:
            continue
        if isinstance(result, Cell):
            cell = _without_validation(result, trials[spec.trial])
            fitted[spec.trial].setdefault(spec.entry, []).append(cell)
            continue
        text = str(result) if isinstance(result, ClipfeatError) else repr(result)
        errors.setdefault(spec.entry, f"{spec.where}: {text}")
        failed.add((spec.trial, spec.entry))
        fitted[spec.trial].pop(spec.entry, None)
    return fitted, errors


def _without_validation(cell: Cell, trial: Trial) -> Cell:
    """Separate the probabilities of a validation set from those of the test rows."""
    if trial.validation is None:
        return cell
    n_test = len(cell.test) - len(trial.validation)
    return replace(cell, test=cell.test[:n_test], train=cell.test[n_test:])


def _cast_votes(
    trial: Trial, members: Cells, features: FeatureSet, voting: Voting
) -> Iterator[tuple[str, tuple[list[Cell], dict[str, list[float]]] | ClipfeatError]]:
    """Compute the votes of a trial. Yield the title of each vote, and its result or its error.

    The result consists of the cells and the weights.
    """
    splits = [(trial.choice_rows(train), test) for train, test in trial.splits.values()]
    for vote in voting.votes if len(members) > 1 else ():
        try:
            result = cast_vote(vote, members, splits, features.y, features.files, voting.given)
        except ClipfeatError as error:
            yield VOTE_TITLES[vote], error
        else:
            yield VOTE_TITLES[vote], result


def _searches(
    cells: Cells, prefix: str, folds: Sequence[str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the entry, the fold and the result of each parameter search."""
    for entry, of_entry in cells.items():
        for fold, cell in zip(folds, of_entry, strict=True):
            if cell.tuned is not None and (cell.tuned.tried or cell.tuned.out_of_time):
                yield entry, prefix + fold, asdict(cell.tuned)
