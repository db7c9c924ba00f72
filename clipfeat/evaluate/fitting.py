"""Fit a model on features, and score it by cross-validation."""

import time
from collections.abc import Mapping, Sequence, Set
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
    unknown_name,
)
from clipfeat.evaluate.abstaining import calibrate, check_enough_images
from clipfeat.evaluate.entries import entry_names
from clipfeat.evaluate.gains import gains
from clipfeat.evaluate.held_out import HeldOut
from clipfeat.evaluate.metrics import Probabilities
from clipfeat.evaluate.official_split import without_test
from clipfeat.evaluate.protocols import FOLDS, KFold
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.run_plan import run_plan
from clipfeat.evaluate.separated_duplicates import separated_duplicates
from clipfeat.evaluate.threshold_rows import holds_out, threshold_rows
from clipfeat.evaluate.thresholds import threshold_chooser
from clipfeat.evaluate.votes import GIVEN, UNIFORM, VOTE_TITLES, Voting, parse_votes
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import one_per_file
from clipfeat.features.classes import positive_by
from clipfeat.features.expected import check_is_feature_set
from clipfeat.features.official_parts import SPLIT
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.limited import one_process
from clipfeat.fits.members import MemberSpec, fit_member, make_member
from clipfeat.fits.on_ray import Executor, ray_executor
from clipfeat.fits.out_of_core import data_access
from clipfeat.fits.running import GRACE
from clipfeat.model import Model
from clipfeat.store.streaming import StreamedFeatures
from clipfeat.system.progress import Phase, Report, reporting
from clipfeat.zoo import CHANCE, parse_names
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import fit_with_groups
from clipfeat.zoo.spaces import Tuned
from clipfeat.zoo.tuning import time_share

RECOVERY = "run the same command again. A fit has no cache, so it starts from the beginning"

METRIC = "balanced_accuracy"
"""Metric that compares a vote with its best member."""


def fit(
    features: FeatureSet | StreamedFeatures,
    clf: str | Sequence[str] = "logreg",
    *,
    cv: int = FOLDS,
    split: str | None = SPLIT,
    options: FitOptions = FitOptions(),
    vote: str = "uniform",
    vote_weights: Sequence[float] | None = None,
    random_state: int = 0,
    resources: FitResources = FitResources(),
    progress: bool | Report = True,
) -> Model:
    """Fit a classifier, or a soft vote of several, and score it by cross-validation.

    Parameters
    ----------
    features : FeatureSet or StreamedFeatures
        Labelled images. Rows without a label are left out. With features of several encoders
        (`clipfeat.load` of several files), every classifier is fitted on the features of each
        encoder, and all these fits vote. Features from `clipfeat.stream` are read in blocks. Some
        classifiers support this, but a parameter search does not.
    clf : str or sequence of str
        Name of a classifier, or several names (``"logreg,svm"``) for a soft vote. The fitted
        classifiers that vote are called members below.
    cv : int
        Number of cross-validation folds. 0 fits the model without scores.
    split : str, optional
        Column with the official split of the data set. The test images of this split are left out,
        and their number is recorded in the model. None uses all images.
    options : FitOptions
        Balancing, calibration, bagging, parameter search, decision threshold and positive class.
        ``Model.about["positive_by"]`` states how the positive class was chosen. The threshold of
        the model is chosen on the out-of-fold probabilities of all rows. The scores of a fold use
        another threshold, which is chosen on the training rows of the fold. With `max_fpr`, some
        models leave out a part of their training rows and choose the threshold on this part. See
        `clipfeat.evaluate.threshold_rows`. The prediction sets of `abstain` are calibrated on the
        same rows as the threshold.
    vote : {"uniform", "greedy", "log_loss", "stacking"}
        Method that combines several classifiers. The weights of ``"greedy"`` and ``"log_loss"``,
        and the regression of ``"stacking"``, are learned on the out-of-fold probabilities of all
        rows. A member with weight 0 is not fitted, and an encoder without members is not part of
        the model.
    vote_weights : sequence of float, optional
        Weights of the members, in their order. They replace `vote`.
    random_state : int
        Random seed of the folds and the classifiers.
    resources : FitResources
        Engine, threads and time limit. A time limit needs ``tune=True`` in `options`. The parameter
        searches then end early enough for the whole run to meet the limit. If the fits alone take
        longer than the limit, they are stopped at 1.1 times the limit.
    progress : bool or callable
        Whether to show the phases of the run on standard error or in the notebook. A callable is
        called with each `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    Model
        Model fitted on all labelled rows, except rows that `max_fpr` or `abstain` leaves out. Its
        ``scores`` are the scores of the cross-validation.

    Raises
    ------
    LabelError
        If there are no labels or there is only one class. If a class has fewer images or groups
        than there are folds.
    UsageError
        If `features` is not a feature set. Arrays are converted with `FeatureSet.from_arrays`. If a
        threshold, prediction sets or a vote must be learned, but `cv` is 0. If a threshold or a
        positive class is requested and there are not exactly two classes. If `vote_weights` does
        not have one number for each member. If streamed features are combined with an option that
        needs features in memory.
    DataError
        If a classifier cannot be fitted on these rows.
    MissingExtraError
        If the engine is Ray and Ray is not installed.
    ClipfeatError
        If Ray fails.
    """
    if not isinstance(features, StreamedFeatures):
        check_is_feature_set(features, "clipfeat.fit")
    names = parse_names(clf)
    if len(names) > 1:
        names = [name for name in names if name != CHANCE]  # the baseline does not vote
    with reporting(progress) as shown:
        features, report = _reporting_passes(features, shown)
        return _fit(
            features, names, cv, split, options, vote, vote_weights, random_state, resources, report
        )


def fit_entry(
    run: Benchmark,
    features: FeatureSet,
    entry: str,
    *,
    options: FitOptions = FitOptions(),
    random_state: int = 0,
    resources: FitResources = FitResources(),
    progress: bool | Report = True,
) -> Model:
    """Fit the model of one entry of a benchmark on all rows, without a second cross-validation.

    Parameters
    ----------
    run : Benchmark
        Result of a cross-validation of `features`, from `clipfeat.benchmark`.
    features : FeatureSet
        The labelled images of the run.
    entry : str
        Name of a classifier or a vote in `run`.
    options : FitOptions
        Options of the run.
    random_state : int
        Random seed of the run.
    resources : FitResources
        Threads. The time limit is not used.
    progress : bool or callable
        As in `fit`.

    Returns
    -------
    Model
        The model. Its ``scores`` are those of the run. Weights and thresholds are learned on the
        out-of-fold probabilities of the run.

    Raises
    ------
    UnknownNameError
        If the run has no such entry.
    UsageError
        If the run is not a cross-validation of these rows.
    DataError
        If a classifier cannot be fitted on these rows.
    """
    if entry not in run.complete:
        raise unknown_name("entry", entry, run.complete)
    vote = next((name for name, title in VOTE_TITLES.items() if title == entry), UNIFORM)
    chosen = [entry]
    if entry in run.about["votes"]:
        chosen = list(run.about["voters"])
    if vote == "stacking" and (run.fold < 0).any():
        raise UsageError(
            "stacking needs an out-of-fold prediction of every row, but the views of the images "
            "have none. Use another vote"
        )
    names = list(dict.fromkeys(one.partition(" @ ")[0] for one in chosen))
    untimed = replace(resources, time_limit=None)
    with reporting(progress) as report:
        return _fit(
            features, names, len(run.outcomes[0].trial.splits), None, options, vote, None,
            random_state, untimed, report, run=run, chosen=chosen,
        )  # fmt: skip


def _fit(
    features: FeatureSet | StreamedFeatures,
    names: Sequence[str],
    cv: int,
    split: str | None,
    options: FitOptions,
    vote: str,
    vote_weights: Sequence[float] | None,
    random_state: int,
    resources: FitResources,
    report: Report,
    *,
    run: Benchmark | None = None,
    chosen: Sequence[str] = (),
) -> Model:
    """Fit and score a model.

    If `run` is given, fit only its entries in `chosen`, and use the scores of the run.
    """
    access = data_access(features, names, tune=options.tune, engine=resources.engine)
    labelled, n_jobs = access.rows.labelled(options.positive), access.n_threads(resources)
    data = without_test(labelled, split).in_content_order()
    entries = entry_names(names, data.specs)
    if run is not None:
        _check_same_rows(run, data)
        entries = {entry: entries[entry] for entry in chosen}
    choose = threshold_chooser(options, data.classes)
    how = _one_vote(vote, vote_weights, list(entries))
    learned = len(entries) > 1 and how not in ("uniform", GIVEN)
    _check_options(cv, options, resources, f"the vote {how!r}" if learned else "")
    check_enough_images(options, data, ", ".join(entries) if holds_out(names, options) else "")
    time_limit = resources.time_limit
    begun, scored = time.monotonic(), run
    with ray_executor(resources, RECOVERY) as executor:
        if cv and scored is None:
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
                report=report,
            )
            if scored.errors:
                raise DataError(
                    "; ".join(f"{entry}: {why}" for entry, why in scored.errors.items())
                )
        fitted_rows, left_out = _divided(data, names, options, random_state)
        weights = _weights(how, vote_weights, list(entries), fitted_rows, scored)
        data, entries = _with_weight(data, entries, weights)
        report(Phase("fitting the model", detail=", ".join(entries)))
        training = data.take(fitted_rows) if len(left_out) else data
        # All searches run before the fits. Each search therefore leaves time for the fit of its
        # classifier.
        share = time_share(begun, time_limit, len(entries))
        specs = {
            entry: MemberSpec(
                name, columns, options, random_state, n_jobs or 1, share, access.build
            )
            for entry, (name, columns) in entries.items()
        }
        rows = (training.X, training.y, training.split_groups)
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
    out_of_fold = [scored.probabilities[entry] for entry in members] if scored else []
    estimator, fit_params = _combined(
        members, how, weights, [p[fitted_rows] for p in out_of_fold], random_state, fitted
    )
    if fitted is None or len(members) > 1:
        until = None if time_limit is None else begun + GRACE * time_limit
        estimator = _fitted(estimator, training, fit_params, until, ", ".join(members))
    about = {
        "images": len(data),
        "cv": cv,
        "seed": random_state,
        "tuned": tuned,
        **{k: v for k, v in options.record().items() if k not in ("accelerate", "tune")},
        **_left_out_images(data, left_out, options),
        "positive": data.positive,
        "positive_by": positive_by(data.classes, options.positive),
        **({"weight_files": dict(data.weight_files)} if data.weight_files else {}),
        "time_limit": time_limit,
        "seconds": time.monotonic() - begun,
    }
    if n_test := len(labelled) - len(data):
        about |= {"split": split, "test_images_left_out": n_test}
    if len(weights) > 1:
        about |= {"vote": how, "weights": None if how == "stacking" else weights}
    entry = VOTE_TITLES[how] if len(weights) > 1 else next(iter(weights))
    held_out = HeldOut(estimator, data, left_out, out_of_fold)
    model = Model(
        estimator=estimator,
        classes=data.classes,
        specs=data.specs,
        members=tuple(members),
        scores=_scores_of(scored, {entry, *chosen} if run else set(scored.entries))
        if scored
        else (),
        about=about | (_about_scores(scored, entry, data) if scored else {}),
        threshold=choose and choose(*held_out.files(held_out.rows)),
        prior=_prior(training, options),
        abstention=calibrate(options.abstain, held_out),
    )
    model = access.finish(model)
    # The keys of features from arrays are row numbers, which do not identify images.
    return replace(model, training_keys=np.unique(data.keys)) if model.specs else model


def _check_same_rows(run: Benchmark, data: FeatureSet) -> None:
    """Check that a run is a cross-validation of these rows."""
    files = run.files[run.fold >= 0]
    is_one = len(run.outcomes) == 1 and set(files.tolist()) == set(run.files.tolist())
    if not is_one or run.paths.tolist() != data.paths.tolist() or run.classes != data.classes:
        raise UsageError(
            f"the run with protocol {run.about.get('protocol')!r} on {len(run.y)} images is not "
            f"a cross-validation of the {len(data)} labelled images of these features. Pass the "
            "features of the run, or a run with the protocol KFold"
        )


def _reporting_passes(
    features: FeatureSet | StreamedFeatures, report: Report
) -> tuple[FeatureSet | StreamedFeatures, Report]:
    """Add the current pass over streamed features to the detail of each reported phase."""
    if isinstance(features, FeatureSet):
        return features, report
    current = Phase("fitting")

    def note(phase: Phase) -> None:
        nonlocal current
        current = phase
        report(phase)

    def note_pass(reading: Phase) -> None:
        passed = f"{reading.detail}: {reading.done / max(reading.total or 0, 1):.0%}"
        report(replace(current, detail=", ".join(filter(None, (current.detail, passed)))))

    return replace(features, report=note_pass), note


def _check_options(cv: int, options: FitOptions, resources: FitResources, learned: str) -> None:
    """Check the options that depend on each other.

    A learned vote, a threshold and abstention need cross-validation. A time limit needs a parameter
    search.
    """
    if options.decides or options.abstain is not None:
        learned = "a decision threshold" if options.decides else "abstention"
    if not cv and learned:
        raise UsageError(
            f"{learned} needs cross-validation for out-of-fold probabilities, but --cv is {cv}. "
            "Use --cv 2 or more"
        )
    if resources.time_limit is not None and not options.tune:
        raise UsageError(
            "--time-limit needs --tune, because the limit is for the parameter search and the fits "
            "that follow. Add --tune, or leave out --time-limit"
        )


def _divided(
    data: FeatureSet, names: Sequence[str], options: FitOptions, random_state: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to fit on, and the rows held out for the threshold and the prediction sets.

    The second array is empty if out-of-fold probabilities are used instead of held-out rows.
    """
    rows = np.arange(len(data))
    if not holds_out(names, options):
        return rows, np.empty(0, dtype=np.int64)
    left_out = threshold_rows(data, rows, options, random_state)
    return np.delete(rows, left_out), left_out


def _left_out_images(
    data: FeatureSet, left_out: NDArray[np.int64], options: FitOptions
) -> dict[str, int]:
    """Return the number of images that the fit left out. The key states their purpose."""
    if not len(left_out):
        return {}
    purpose = "threshold_images" if options.max_fpr is not None else "calibration_images"
    return {purpose: len(np.unique(data.files[left_out]))}


def _prior(data: FeatureSet, options: FitOptions) -> tuple[float, ...]:
    """Return the class frequencies that the probabilities of a fit assume."""
    counts = np.bincount(data.y, minlength=len(data.classes))
    if options.balances:
        counts = np.ones_like(counts)
    return tuple((counts / counts.sum()).tolist())


def _fitted(
    estimator: Any,
    data: FeatureSet,
    fit_params: Mapping[str, Any],
    until: float | None,
    title: str,
) -> Any:
    """Fit an estimator on all rows.

    With a time limit, the fit runs in a child process, which is stopped at the time `until`.
    """
    rows = (data.X, data.y, data.split_groups)
    try:
        if until is None:
            return fit_with_groups(estimator, *rows, **fit_params)
        with one_process() as run:
            left = until - time.monotonic()
            return run(left, partial(fit_with_groups, estimator, **fit_params), *rows)
    except TimeoutError:
        raise DataError(
            f"the fit of {title} on {len(data)} images was stopped at the time limit. Raise "
            "--time-limit"
        ) from None
    except (RefusedFileError, StorageError):
        raise  # streamed features could not be read from their file
    except (ClipfeatError, ValueError) as error:
        raise _cannot_fit(title, len(data), error) from error


def _fitted_on_ray(
    executor: Executor, rows: tuple[Any, ...], specs: Mapping[str, MemberSpec]
) -> dict[str, tuple[Any, Tuned | None]]:
    """Fit the members on a Ray cluster. Return each member and the result of its search."""
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
    out_of_fold: Sequence[Probabilities],
    random_state: int,
    fitted: Mapping[str, Any] | None,
) -> tuple[Any, dict[str, Any]]:
    """Combine the members into one estimator. Return it and the arguments of its ``fit``.

    The out-of-fold probabilities are those of the rows that the estimator is fitted on.
    """
    if len(members) == 1:
        return next(iter(members.values())), {}
    fit_params: dict[str, Any] = {} if fitted is None else {"fitted": fitted}
    named = [(entry, clone(member)) for entry, member in members.items()]
    if how == "stacking" and out_of_fold:
        fit_params["out_of_fold"] = out_of_fold
        return StackedClassifier(named, random_state=random_state), fit_params
    shares = None if how == "uniform" else [weights[entry] for entry in members]
    return SoftVotingClassifier(named, weights=shares), fit_params


def _one_vote(vote: str, weights: Sequence[float] | None, voters: Sequence[str]) -> str:
    votes = parse_votes(vote, weights, voters)
    if len(votes) > 1 and votes != ["uniform", GIVEN]:
        raise UsageError(
            f"a model can use only one kind of vote, got {' and '.join(votes)}. Pass one of them"
        )
    return votes[-1]


def _scores_of(scored: Benchmark, entries: Set[str]) -> tuple[Mapping[str, Any], ...]:
    return tuple(row for row in scored.rows if row["classifier"] in entries)


def _about_scores(scored: Benchmark, entry: str, data: FeatureSet) -> dict[str, Any]:
    """Return facts about the cross-validation that the model file stores in ``about``."""
    gained = [asdict(gain) for gain in gains(scored, METRIC) if gain.vote == entry]
    about = scored.about
    trials = [outcome.trial for outcome in scored.outcomes]
    return {
        "threshold_by": about["threshold_by"],
        "near_duplicates": separated_duplicates(data, trials),
        **{key: about[key] for key in ("few_groups",) if key in about},
        **({"gain": gained[0], "uncalibrated": about["uncalibrated"]} if gained else {}),
    }


def _weights(
    how: str,
    given: Sequence[float] | None,
    entries: Sequence[str],
    rows: NDArray[np.int64],
    scored: Benchmark | None,
) -> dict[str, float]:
    """Return the weight of each entry: given, equal, or learned.

    Weights are learned on the out-of-fold probabilities of the rows that the model is fitted on.
    """
    if how == GIVEN and given is not None:
        return dict(zip(entries, (float(w) / float(np.sum(given)) for w in given), strict=True))
    if scored is None or how == "stacking" or len(entries) == 1:
        return dict.fromkeys(entries, 1 / len(entries))
    rows = rows[scored.fold[rows] >= 0]
    y, files = scored.y[rows], scored.files[rows]
    by_file = [one_per_file(y, scored.probabilities[entry][rows], files) for entry in entries]
    learned = learn_weights(how, [p for _, p, _ in by_file], by_file[0][0])
    return dict(zip(entries, learned.tolist(), strict=True))


def _with_weight(
    data: FeatureSet, entries: Mapping[str, tuple[str, slice]], weights: Mapping[str, float]
) -> tuple[FeatureSet, dict[str, tuple[str, slice]]]:
    """Drop the entries with weight 0, and the encoders that none of the other entries uses."""
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
