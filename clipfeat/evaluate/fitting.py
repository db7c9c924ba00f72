"""Features to a fitted, scored model."""

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
from clipfeat.evaluate.gains import gains
from clipfeat.evaluate.protocols import plan
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.thresholds import threshold_chooser
from clipfeat.evaluate.trials import Step, Voting, entry_names, run_protocol
from clipfeat.evaluate.votes import GIVEN, TITLES, parse_votes
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import one_a_file
from clipfeat.fits.cells import Settings
from clipfeat.fits.limited import one_process
from clipfeat.fits.members import fit_member, make_member
from clipfeat.fits.on_ray import Spread, check_engine, spreading
from clipfeat.fits.out_of_core import place_of
from clipfeat.fits.running import GRACE
from clipfeat.model import Model
from clipfeat.store.streaming import StreamedFeatures
from clipfeat.zoo import CHANCE, parse_names
from clipfeat.zoo.folds import fit_with_groups
from clipfeat.zoo.recipe import check_recipe
from clipfeat.zoo.tuning import Tuned, check_time_limit, time_share

SAFE = "nothing of a fit is kept: the same command begins anew"

METRIC = "balanced_accuracy"
"""In which a vote is compared with its best member."""


def fit(
    features: FeatureSet | StreamedFeatures,
    clf: str | Sequence[str] = "logreg",
    *,
    cv: int = 5,
    seed: int = 0,
    balance: bool | str = False,
    accelerate: bool = True,
    calibrate: str = "none",
    bag: int = 0,
    threshold: str | None = None,
    max_fpr: float | None = None,
    vote: str = "uniform",
    vote_weights: Sequence[float] | None = None,
    tune: bool = False,
    time_limit: float | None = None,
    n_jobs: int | None = None,
    engine: str = "local",
    address: str | None = None,
    progress: Callable[[Step], None] = lambda step: None,
) -> Model:
    """Fit a classifier, or a soft vote of several, and score it by cross-validation.

    Parameters
    ----------
    features : FeatureSet or StreamedFeatures
        Labelled images; rows without a label are left out. Of several encoders (`clipfeat.load`
        of several files), every classifier is fitted on each, and all of them vote. What
        `clipfeat.stream` opens is read in blocks, for classifiers of
        `clipfeat.zoo.streamed.STREAMED` and without a search for parameters.
    clf : str or sequence of str
        One name of the zoo, or several (``"logreg,svm"``), which become a soft vote.
    cv : int
        Folds of the cross-validation; 0 for none.
    seed : int
        Of the folds and the classifiers.
    balance : bool or str
        Whether all classes count alike, and how: one of `clipfeat.zoo.balance.BALANCES`.
    accelerate : bool
        Whether scikit-learn-intelex, or a GPU, fits what it can, where it is there.
    calibrate, bag
        As in `clipfeat.zoo.recipe.build`: ``"sigmoid"``, 5.
    threshold, max_fpr
        As `metric` and `max_fpr` in `clipfeat.evaluate.thresholds.threshold_chooser`: the model
        decides by a threshold that is chosen on the out-of-fold probabilities of all rows. Its
        scores are those of thresholds that were chosen without the rows they are measured on.
    vote : str
        How several vote, one of `clipfeat.evaluate.votes.VOTES`; weights and stacking are learned
        on the out-of-fold probabilities of all rows. Members of no weight are not fitted, and an
        encoder that only they needed is no part of the model.
    vote_weights : sequence of float, optional
        A weight of each member in their order, in place of `vote`.
    tune : bool
        Whether each classifier's parameters are searched for, on all rows for the model, inside
        each training for its scores; see `clipfeat.zoo.tuning`.
    time_limit : float, optional
        Seconds that all of it may take: searches end in time for it. Where the fits without any
        search take longer, they are stopped, a tenth beyond it.
    n_jobs : int, optional
        Threads; None is one for small data, else all processors. On Ray: of each fit, for which
        Ray keeps as many processors of one machine; None is one.
    engine, address
        As in `clipfeat.evaluate.benchmark.benchmark`: on ``"ray"`` the fits of the
        cross-validation, and those of the members, are spread over a Ray cluster.
    progress : callable
        Told after each cell of the cross-validation.

    Returns
    -------
    Model
        Fitted on all labelled rows; its ``scores`` are the cross-validation's.

    Raises
    ------
    LabelError
        If there are no labels, one class, or a class with fewer images (or groups) than folds.
    UsageError
        If a threshold or a vote's weights are to be learned without folds, a threshold is asked for
        with other than two classes, weights do not fit, features are streamed to what needs all of
        them at once, or an engine, its address, a time limit and `n_jobs` do not go together.
    DataError
        If a classifier cannot be fitted on these rows.
    MissingExtraError
        If Ray is asked for and not installed.
    ClipfeatError
        If Ray gives up.
    """
    check_engine(engine, address, n_jobs, time_limit)
    names = parse_names(clf)
    if len(names) > 1:
        names = [name for name in names if name != CHANCE]  # it has no say in a vote
    check_recipe(calibrate, bag, balance)
    place = place_of(features, names, tune=tune, engine=engine)
    data, n_jobs = place.rows.labelled(), place.threads(n_jobs)
    entries = entry_names(names, data.specs)
    choose = threshold_chooser(threshold, max_fpr, data.classes)
    how = _one_vote(vote, vote_weights, list(entries))
    if not cv and (choose is not None or (len(entries) > 1 and how not in ("uniform", GIVEN))):
        what = f"the vote {how!r} is learned" if choose is None else "a threshold is chosen"
        raise UsageError(f"{what} on out-of-fold probabilities: use 2 folds or more")
    check_time_limit(time_limit)
    if time_limit is not None and not tune:
        raise UsageError("a time limit bounds the search for parameters: ask for that (--tune)")
    begun = time.monotonic()
    asked: dict[str, Any] = {"balance": balance, "calibrate": calibrate, "bag": bag}
    scored: Benchmark | None = None
    with spreading(engine, address, n_jobs, SAFE) as spread:
        if cv:
            given = dict(zip(entries, vote_weights, strict=True)) if vote_weights else None
            voting = Voting((how,), given)
            inner = choose is not None or (voting.learns and len(entries) > 1)
            scored = run_protocol(
                data,
                names,
                plan(data, cv=cv, seed=seed),
                Settings(accelerate=accelerate, tune=tune, inner=inner, **asked),
                choose=choose,
                voting=voting,
                time_limit=time_limit,
                spare=len(entries),
                n_jobs=n_jobs,
                spread=spread,
                progress=progress,
                about={"threshold_by": threshold if max_fpr is None else f"max_fpr {max_fpr:g}"},
                runner=place.runner,
            )
            if scored.errors:
                raise DataError(
                    "; ".join(f"{entry}: {why}" for entry, why in scored.errors.items())
                )
        weights = _weights(how, vote_weights, list(entries), data.y, scored)
        data, entries = _needed(
            data, {e: entries[e] for e, weight in weights.items() if weight > 0}
        )
        make = partial(
            place.make, random_state=seed, n_jobs=n_jobs or 1, accelerate=accelerate, **asked
        )
        # Each search keeps time for its own classifier's fit, which comes after all of them.
        share = time_share(begun, time_limit, len(entries))
        wanted: dict[str, tuple[Any, ...]] = {
            entry: (*which, make, tune, share) for entry, which in entries.items()
        }
        rows = (data.X, data.y, data.split_groups)
        if spread is None:
            made = {entry: make_member(*rows, *one) for entry, one in wanted.items()}
        else:
            made = _fitted_on_ray(spread, rows, wanted)
    members = {entry: member for entry, (member, _) in made.items()}
    tuned = {
        entry: asdict(found)
        for entry, (_, found) in made.items()
        if found and (found.tried or found.out_of_time)
    }
    estimator, known = _voting(members, how, weights, scored, seed, fitted=spread is not None)
    if spread is None or len(members) > 1:
        until = None if time_limit is None else begun + GRACE * time_limit
        estimator = _fitted(estimator, data, known, until, ", ".join(members))
    about = {"images": len(data), "cv": cv, "seed": seed, **asked, "tuned": tuned}
    about |= {"time_limit": time_limit, "seconds": time.monotonic() - begun}
    if len(weights) > 1:
        about |= {"vote": how, "weights": None if how == "stacking" else weights}
    entry = TITLES[how] if len(weights) > 1 else next(iter(weights))
    model = Model(
        estimator=estimator,
        classes=data.classes,
        specs=data.specs,
        members=tuple(members),
        scores=tuple(scored.rows) if scored else (),
        about=about | (_found(scored, entry) if scored else {}),
        threshold=choose(*_by_file(scored, entry)) if choose and scored else None,
    )
    return place.finish(model)


def _fitted(
    estimator: Any, data: FeatureSet, known: Mapping[str, Any], until: float | None, what: str
) -> Any:
    """Fit on all rows, in a process that is stopped at a time (monotonic) where there is one."""
    rows = (data.X, data.y, data.split_groups)
    try:
        if until is None:
            return fit_with_groups(estimator, *rows, **known)
        with one_process() as run:
            left = until - time.monotonic()
            return run(left, partial(fit_with_groups, estimator, **known), *rows)
    except TimeoutError:
        raise DataError(
            f"stopped: fitting {what} on {len(data)} images takes longer than --time-limit leaves"
        ) from None
    except (RefusedFileError, StorageError):
        raise  # while it was being read in blocks
    except (ClipfeatError, ValueError) as error:
        raise _cannot_fit(what, len(data), error) from error


def _fitted_on_ray(
    spread: Spread, rows: tuple[Any, ...], wanted: Mapping[str, tuple[Any, ...]]
) -> dict[str, tuple[Any, Tuned | None]]:
    """Each member, fitted, and what its search found, in their order."""
    made = dict(spread(fit_member, rows, list(wanted.values())))
    for entry, one in zip(wanted, (made[at] for at in range(len(made))), strict=True):
        if isinstance(one, ClipfeatError | ValueError):
            raise _cannot_fit(entry, len(rows[1]), one) from one
        if isinstance(one, Exception):
            raise one
    return {entry: made[at] for at, entry in enumerate(wanted)}


def _cannot_fit(what: str, n_images: int, error: Exception) -> DataError:
    kind = LabelError if isinstance(error, LabelError) else DataError
    return kind(f"cannot fit {what} on {n_images} images: {error}")


def _voting(
    members: Mapping[str, Any],
    how: str,
    weights: Mapping[str, float],
    scored: Benchmark | None,
    seed: int,
    *,
    fitted: bool,
) -> tuple[Any, dict[str, Any]]:
    """The members, fitted or not, as one estimator, and what its fit is to be told."""
    if len(members) == 1:
        return next(iter(members.values())), {}
    told: dict[str, Any] = {"fitted": members} if fitted else {}
    named = [(entry, clone(member)) for entry, member in members.items()]
    if how == "stacking" and scored:
        told["out_of_fold"] = [scored.probabilities[entry] for entry in members]
        return StackedClassifier(named, random_state=seed), told
    shares = None if how == "uniform" else [weights[entry] for entry in members]
    return SoftVotingClassifier(named, weights=shares), told


def _one_vote(vote: str, weights: Sequence[float] | None, voters: Sequence[str]) -> str:
    hows = parse_votes(vote, weights, voters)
    if len(hows) > 1 and hows != ["uniform", GIVEN]:
        raise UsageError(f"a model has one vote, got {' and '.join(hows)}")
    return hows[-1]


def _found(scored: Benchmark, entry: str) -> dict[str, Any]:
    """What the cross-validation said of the entry that became the model."""
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
    """Each entry's weight in the model's vote, learned from all out-of-fold rows there are."""
    if how == GIVEN and given is not None:
        return dict(zip(entries, (float(w) / float(np.sum(given)) for w in given), strict=True))
    if scored is None or how == "stacking" or len(entries) == 1:
        return dict.fromkeys(entries, 1 / len(entries))
    heard = [_by_file(scored, entry) for entry in entries]
    learned = learn_weights(how, [p for _, p in heard], heard[0][0])
    return dict(zip(entries, learned.tolist(), strict=True))


def _by_file(scored: Benchmark, entry: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """True classes and out-of-fold probabilities of files, as the model will be asked of them."""
    y, p, _ = one_a_file(scored.y, scored.probabilities[entry], scored.files)
    return y, p


def _needed(
    data: FeatureSet, entries: Mapping[str, tuple[str, slice]]
) -> tuple[FeatureSet, dict[str, tuple[str, slice]]]:
    """The entries, and of the encoders those whose features they take, side by side."""
    wanted = {columns.start for _, columns in entries.values()}
    slices = list(data.slices.values())
    if len(slices) < 2 or all(one.start in wanted for one in slices):
        return data, dict(entries)
    kept = [i for i, one in enumerate(slices) if one.start in wanted]
    X = np.hstack([data.X[:, slices[i]] for i in kept])
    smaller = replace(data, X=X, specs=tuple(data.specs[i] for i in kept))
    place = {slices[i].start: now for i, now in zip(kept, smaller.slices.values(), strict=True)}
    return smaller, {e: (name, place[columns.start]) for e, (name, columns) in entries.items()}
