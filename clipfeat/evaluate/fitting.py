"""Fitting and scoring a model on features."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from clipfeat.ensemble import SoftVotingClassifier, StackedClassifier, learn_weights
from clipfeat.errors import (
    ClipfeatError,
    DataError,
    LabelError,
    RefusedFileError,
    StorageError,
    UsageError,
)
from clipfeat.evaluate.entries import entry_names
from clipfeat.evaluate.gains import gains
from clipfeat.evaluate.protocols import KFold
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.run_plan import Step, run_plan
from clipfeat.evaluate.thresholds import threshold_chooser
from clipfeat.evaluate.votes import GIVEN, VOTE_TITLES, Voting, parse_votes
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import one_per_file
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.limited import one_process
from clipfeat.fits.members import MemberSpec, fit_member, make_member
from clipfeat.fits.on_ray import Executor, ray_executor
from clipfeat.fits.out_of_core import data_access
from clipfeat.fits.running import GRACE
from clipfeat.model import Model
from clipfeat.store.streaming import StreamedFeatures
from clipfeat.zoo import CHANCE, parse_names
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import fit_with_groups
from clipfeat.zoo.spaces import Tuned
from clipfeat.zoo.tuning import time_share

RECOVERY = "a fit is not cached: run the same command again"

METRIC = "balanced_accuracy"
"""Metric that compares a vote with its best member."""


def fit(
    features: FeatureSet | StreamedFeatures,
    clf: str | Sequence[str] = "logreg",
    *,
    cv: int = 5,
    options: FitOptions = FitOptions(),
    vote: str = "uniform",
    vote_weights: Sequence[float] | None = None,
    random_state: int = 0,
    resources: FitResources = FitResources(),
    progress: Callable[[Step], None] = lambda step: None,
) -> Model:
    """Fit a classifier, or a soft vote of several, and score it by cross-validation.

    Parameters
    ----------
    features : FeatureSet or StreamedFeatures
        Labelled images; rows without a label are ignored. With features of several encoders
        (`clipfeat.load` of several files), every classifier is fitted on each encoder, and all of
        them vote. Features opened by `clipfeat.stream` are read in blocks, which some classifiers
        support and a parameter search does not.
    clf : str or sequence of str
        Name of a classifier, or several names (``"logreg,svm"``) for a soft vote.
    cv : int
        Number of cross-validation folds; 0 skips the scores.
    options : FitOptions
        Balancing, calibration, bagging, search and threshold. The threshold of the model is chosen
        on the out-of-fold probabilities of all rows. The threshold of each fold's scores is chosen
        on that fold's training rows.
    vote : {"uniform", "greedy", "log_loss", "stacking"}
        How several classifiers vote. Weights and stacking are learned on the out-of-fold
        probabilities of all rows. A member of zero weight is not fitted, and an encoder without
        members is not part of the model.
    vote_weights : sequence of float, optional
        Weights of the members, in order, in place of `vote`.
    random_state : int
        Random seed of the folds and the classifiers.
    resources : FitResources
        Engine, threads and time limit. A time limit needs ``tune=True`` in `options`: searches end
        so that the whole run meets the limit. If the fits alone exceed it, they are stopped at 1.1
        times the limit.
    progress : callable
        Called after each cell of the cross-validation.

    Returns
    -------
    Model
        Fitted on all labelled rows. Its ``scores`` are those of the cross-validation.

    Raises
    ------
    LabelError
        If there are no labels, only one class, or a class with fewer images or groups than folds.
    UsageError
        If a threshold or a vote is learned without folds, a threshold is requested for other than
        two classes, the weights do not match the members, or streamed features are combined with
        an option that needs them in memory.
    DataError
        If a classifier cannot be fitted on these rows.
    MissingExtraError
        If Ray is requested but not installed.
    ClipfeatError
        If Ray gives up.
    """
    names = parse_names(clf)
    if len(names) > 1:
        names = [name for name in names if name != CHANCE]  # the baseline does not vote
    access = data_access(features, names, tune=options.tune, engine=resources.engine)
    data, n_jobs = access.rows.labelled(), access.n_threads(resources)
    entries = entry_names(names, data.specs)
    choose = threshold_chooser(options, data.classes)
    how = _one_vote(vote, vote_weights, list(entries))
    if not cv and (choose is not None or (len(entries) > 1 and how not in ("uniform", GIVEN))):
        learned = f"the vote {how!r}" if choose is None else "a threshold"
        raise UsageError(
            f"{learned} is learned on out-of-fold probabilities, got cv {cv}: use 2 folds or more"
        )
    time_limit = resources.time_limit
    if time_limit is not None and not options.tune:
        raise UsageError(
            f"the time limit of {time_limit:g} s applies to a parameter search: add --tune, or "
            "leave out --time-limit"
        )
    begun = time.monotonic()
    scored: Benchmark | None = None
    with ray_executor(resources, RECOVERY) as executor:
        if cv:
            given = dict(zip(entries, vote_weights, strict=True)) if vote_weights else None
            scored = run_plan(
                KFold(cv).plan(data, random_state),
                names,
                options,
                replace(resources, n_jobs=n_jobs),
                voting=Voting((how,) if len(entries) > 1 else (), given),
                spare=len(entries),
                executor=executor,
                run=access.run,
                progress=progress,
            )
            if scored.errors:
                raise DataError(
                    "; ".join(f"{entry}: {why}" for entry, why in scored.errors.items())
                )
        weights = _weights(how, vote_weights, list(entries), data.y, scored)
        data, entries = _with_weight(data, entries, weights)
        # Each search leaves time for its own classifier's fit; all fits follow all searches.
        share = time_share(begun, time_limit, len(entries))
        specs = {
            entry: MemberSpec(
                name, columns, options, random_state, n_jobs or 1, share, access.build
            )
            for entry, (name, columns) in entries.items()
        }
        rows = (data.X, data.y, data.split_groups)
        if executor is None:
            made = {entry: make_member(*rows, spec) for entry, spec in specs.items()}
        else:
            made = _fitted_on_ray(executor, rows, specs)
    members = {entry: member for entry, (member, _) in made.items()}
    tuned = {
        entry: asdict(result)
        for entry, (_, result) in made.items()
        if result and (result.tried or result.out_of_time)
    }
    fitted = members if executor is not None else None
    estimator, fit_params = _combined(members, how, weights, scored, random_state, fitted)
    if fitted is None or len(members) > 1:
        until = None if time_limit is None else begun + GRACE * time_limit
        estimator = _fitted(estimator, data, fit_params, until, ", ".join(members))
    recorded = {k: v for k, v in options.record().items() if k not in ("accelerate", "tune")}
    about = {"images": len(data), "cv": cv, "seed": random_state, **recorded, "tuned": tuned}
    about |= {"time_limit": time_limit, "seconds": time.monotonic() - begun}
    if len(weights) > 1:
        about |= {"vote": how, "weights": None if how == "stacking" else weights}
    entry = VOTE_TITLES[how] if len(weights) > 1 else next(iter(weights))
    model = Model(
        estimator=estimator,
        classes=data.classes,
        specs=data.specs,
        members=tuple(members),
        scores=tuple(scored.rows) if scored else (),
        about=about | (_about_scores(scored, entry) if scored else {}),
        threshold=choose(*_by_file(scored, entry)) if choose and scored else None,
    )
    return access.finish(model)


def _fitted(
    estimator: Any,
    data: FeatureSet,
    fit_params: Mapping[str, Any],
    until: float | None,
    title: str,
) -> Any:
    """Fit on all rows, in a child process that is stopped at `until` if there is a time limit."""
    rows = (data.X, data.y, data.split_groups)
    try:
        if until is None:
            return fit_with_groups(estimator, *rows, **fit_params)
        with one_process() as run:
            left = until - time.monotonic()
            return run(left, partial(fit_with_groups, estimator, **fit_params), *rows)
    except TimeoutError:
        raise DataError(
            f"stopped fitting {title} on {len(data)} images at the time limit: raise --time-limit"
        ) from None
    except (RefusedFileError, StorageError):
        raise  # the feature file could not be read
    except (ClipfeatError, ValueError) as error:
        raise _cannot_fit(title, len(data), error) from error


def _fitted_on_ray(
    executor: Executor, rows: tuple[Any, ...], specs: Mapping[str, MemberSpec]
) -> dict[str, tuple[Any, Tuned | None]]:
    """Fit the members on a cluster; return each with the result of its search, in order."""
    results = dict(executor(fit_member, rows, [(spec,) for spec in specs.values()]))
    for number, entry in enumerate(specs):
        result = results[number]
        if isinstance(result, ClipfeatError | ValueError):
            raise _cannot_fit(entry, len(rows[1]), result) from result
        if isinstance(result, Exception):
            raise result
    return {entry: results[number] for number, entry in enumerate(specs)}


def _cannot_fit(title: str, n_images: int, error: Exception) -> DataError:
    kind = LabelError if isinstance(error, LabelError) else DataError
    return kind(f"cannot fit {title} on {n_images} images: {error}")


def _combined(
    members: Mapping[str, Any],
    how: str,
    weights: Mapping[str, float],
    scored: Benchmark | None,
    random_state: int,
    fitted: Mapping[str, Any] | None,
) -> tuple[Any, dict[str, Any]]:
    """Combine the members into one estimator; return it with the parameters of its ``fit``."""
    if len(members) == 1:
        return next(iter(members.values())), {}
    fit_params: dict[str, Any] = {} if fitted is None else {"fitted": fitted}
    named = [(entry, clone(member)) for entry, member in members.items()]
    if how == "stacking" and scored:
        fit_params["out_of_fold"] = [scored.probabilities[entry] for entry in members]
        return StackedClassifier(named, random_state=random_state), fit_params
    shares = None if how == "uniform" else [weights[entry] for entry in members]
    return SoftVotingClassifier(named, weights=shares), fit_params


def _one_vote(vote: str, weights: Sequence[float] | None, voters: Sequence[str]) -> str:
    votes = parse_votes(vote, weights, voters)
    if len(votes) > 1 and votes != ["uniform", GIVEN]:
        raise UsageError(f"a model has one vote, got {' and '.join(votes)}: name one of them")
    return votes[-1]


def _about_scores(scored: Benchmark, entry: str) -> dict[str, Any]:
    """Record how the cross-validation scored the entry that became the model."""
    gained = [asdict(gain) for gain in gains(scored, METRIC) if gain.vote == entry]
    about = scored.about
    return {
        "threshold_by": about["threshold_by"],
        **({"gain": gained[0], "uncalibrated": about["uncalibrated"]} if gained else {}),
    }


def _weights(
    how: str,
    given: Sequence[float] | None,
    entries: Sequence[str],
    y: NDArray[np.int64],
    scored: Benchmark | None,
) -> dict[str, float]:
    """Learn the weight of each entry from the out-of-fold probabilities of all rows."""
    if how == GIVEN and given is not None:
        return dict(zip(entries, (float(w) / float(np.sum(given)) for w in given), strict=True))
    if scored is None or how == "stacking" or len(entries) == 1:
        return dict.fromkeys(entries, 1 / len(entries))
    by_file = [_by_file(scored, entry) for entry in entries]
    learned = learn_weights(how, [p for _, p in by_file], by_file[0][0])
    return dict(zip(entries, learned.tolist(), strict=True))


def _by_file(scored: Benchmark, entry: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return true classes and out-of-fold probabilities per file, as the model predicts files."""
    y, p, _ = one_per_file(scored.y, scored.probabilities[entry], scored.files)
    return y, p


def _with_weight(
    data: FeatureSet, entries: Mapping[str, tuple[str, slice]], weights: Mapping[str, float]
) -> tuple[FeatureSet, dict[str, tuple[str, slice]]]:
    """Drop the entries of zero weight, and the encoders that no other entry uses."""
    kept = {entry: entries[entry] for entry, weight in weights.items() if weight > 0}
    used = {columns.start for _, columns in kept.values()}
    slices = list(data.slices.values())
    if len(slices) < 2 or all(one.start in used for one in slices):
        return data, kept
    indices = [i for i, one in enumerate(slices) if one.start in used]
    X = np.hstack([data.X[:, slices[i]] for i in indices])
    smaller = replace(data, X=X, specs=tuple(data.specs[i] for i in indices))
    moved = {
        slices[i].start: columns
        for i, columns in zip(indices, smaller.slices.values(), strict=True)
    }
    return smaller, {e: (name, moved[columns.start]) for e, (name, columns) in kept.items()}
