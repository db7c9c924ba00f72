"""The benchmark: every classifier and their votes on the same trials.

Out-of-fold probabilities are kept, so that votes, and whatever is asked of them later, refit
nothing. A threshold, and the weights of a vote that learns, are chosen inside the training rows of
each fold, on probabilities that are out of fold there: three further fits of each classifier on two
thirds of those rows, about three times the time; a bag's own members say it for nothing.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from clipfeat.evaluate.protocols import plan
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.thresholds import threshold_chooser
from clipfeat.evaluate.trials import Step, entry_names, parse_voting, run_protocol
from clipfeat.evaluate.votes import UNIFORM
from clipfeat.features import FeatureSet, stack
from clipfeat.fits.on_ray import ray_executor
from clipfeat.fits.resources import FitResources
from clipfeat.zoo import parse_names
from clipfeat.zoo.fit_options import FitOptions

SAFE = (
    "with -o, finished cells are kept, and the same command goes on from them; without, give it one"
)


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
    balance: str = "none",
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
    engine: str = "local",
    address: str | None = None,
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
    balance : str
        How all classes get the same weight; see `clipfeat.zoo.fit_options.FitOptions`.
    accelerate : bool
        Whether scikit-learn-intelex, or a GPU, fits what it can, where it is there.
    calibrate, bag
        As in `clipfeat.zoo.fit_options.FitOptions`.
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
        `clipfeat.fits.cache`.
    n_jobs : int, optional
        Threads; None is one for small data, else all processors. On Ray: of each cell, for which
        Ray keeps as many processors of one machine; None is one.
    engine : str
        ``"local"``, one cell after the other, or ``"ray"``: cells spread over the processors of a
        Ray cluster, each of whose machines has the same clipfeat. No `time_limit` there. The
        probabilities are the same; to the last bit where libraries are the same too, and sum in the
        same order for any number of threads.
    address : str, optional
        Of a running Ray cluster; by default the environment's ``RAY_ADDRESS``, else one of this
        machine alone is started for the run.
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
        weights do not fit, or an engine, its address, a time limit and `n_jobs` do not go together.
    FingerprintError
        If `test` is of another encoder.
    MissingExtraError
        If Ray is asked for and not installed.
    ClipfeatError
        If Ray gives up; with `keep`, the same call goes on from the finished cells.
    """
    resources = FitResources(n_jobs, time_limit, engine, address)
    options = FitOptions(
        balance=balance, calibrate=calibrate, bag=bag, tune=tune, threshold=threshold,
        max_fpr=max_fpr, accelerate=accelerate,
    )  # fmt: skip
    names = parse_names(clf)
    data = features.labelled()
    n_given = None
    if test is not None:
        data, n_given = stack(data, test)
    choose = threshold_chooser(threshold, max_fpr, data.classes)
    protocol = plan(
        data, cv=cv, leave_out=leave_one_out, matrix=matrix, few_shot=few_shot, n_given=n_given,
        repeats=repeats, seed=seed,
    )  # fmt: skip
    voting = parse_voting(vote, vote_weights, entry_names(names, data.specs))
    with ray_executor(resources, SAFE) as executor:
        return run_protocol(
            data,
            names,
            protocol,
            options,
            choose=choose,
            voting=voting,
            time_limit=time_limit,
            cache=None if keep is None else Path(keep),
            n_jobs=n_jobs,
            executor=executor,
            progress=progress,
            about={
                "seed": seed,
                "unlabelled": len(features) - int((features.y >= 0).sum()),
                "threshold_by": options.threshold_rule,
            },
        )
