"""The benchmark: every classifier, and the votes among them, on the same splits.

The result keeps the out-of-fold probabilities, so votes, leaderboards and plots need no further
fits. Thresholds and learned votes are chosen on the training rows of each fold, from probabilities
that are out of fold among them. This needs three further fits of each classifier on two thirds of
those rows, which takes about three times as long. A bag predicts its own training rows out of fold
at no extra cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from clipfeat.evaluate.entries import entry_names
from clipfeat.evaluate.protocols import Protocol, as_protocol
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.run_plan import Step, run_plan
from clipfeat.evaluate.votes import UNIFORM, parse_voting
from clipfeat.features import FeatureSet
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.on_ray import ray_executor
from clipfeat.zoo import parse_names
from clipfeat.zoo.fit_options import FitOptions

RECOVERY = "run the same command again: with -o it resumes from the finished cells"


def benchmark(
    features: FeatureSet,
    clf: str | Sequence[str] = "all",
    *,
    protocol: int | Protocol = 5,
    options: FitOptions = FitOptions(),
    vote: str | Sequence[str] = UNIFORM,
    vote_weights: Sequence[float] | None = None,
    random_state: int = 0,
    resources: FitResources = FitResources(),
    cache: str | Path | None = None,
    progress: Callable[[Step], None] = lambda step: None,
) -> Benchmark:
    """Compare classifiers and their soft vote on the same splits.

    Parameters
    ----------
    features : FeatureSet
        Labelled images. Rows without a label are left out. With several encoders, every classifier
        runs on the features of each, and all of them vote. Frames, faces and views of one file are
        separate training rows, and are averaged to score the file.
    clf : str or sequence of str
        ``"all"``, or names of classifiers, such as ``"logreg,svm"``.
    protocol : int or Protocol
        Number of folds of a stratified cross-validation, or a protocol: `KFold`, `LeaveOneOut`,
        `Matrix`, `FewShot`, `TrainTest` or `OfficialSplit`.
    options : FitOptions
        Balancing, calibration, bagging, parameter search and decision threshold. Parameters and
        thresholds are chosen inside each training set.
    vote : str or sequence of str
        ``"all"``, or one or more of ``"uniform"``, ``"greedy"``, ``"log_loss"`` and ``"stacking"``.
        Each vote is an entry of the result. Votes other than ``"uniform"`` are learned, which takes
        about three times as long.
    vote_weights : sequence of float, optional
        Weights of the entries that vote, in order, for one further vote.
    random_state : int
        Random seed of the folds and the classifiers.
    resources : FitResources
        Threads, time limit per classifier, and engine.
    cache : path, optional
        Folder of finished cells. A later call reads them instead of fitting again; see
        `clipfeat.fits.cache`.
    progress : callable
        Called with a `Step` after each cell, which is one classifier on one fold.

    Returns
    -------
    Benchmark
        Scores and out-of-fold probabilities. An entry that fails is in its ``errors``, and the
        other entries are not affected.

    Raises
    ------
    LabelError
        If there are no labels, one class, or a class with fewer images or groups than folds.
    UsageError
        If the protocol does not fit the features, a threshold is chosen with other than two
        classes, or the weights do not fit the entries.
    FingerprintError
        If a separate test set has features of another encoder.
    MissingExtraError
        If the engine is Ray and Ray is not installed.
    ClipfeatError
        If Ray fails. With `cache`, the same call resumes from the finished cells.

    See Also
    --------
    fit : Fit and score a single model.
    compare : Compare runs on the images that all of them tested.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = FeatureSet.from_arrays(rng.normal(size=(40, 3)), ["cat", "dog"] * 20)
    >>> benchmark(features, "logreg,dummy", protocol=4).leaderboard().metric
    'balanced_accuracy'
    """
    names = parse_names(clf)
    labelled = features.labelled()
    plan = as_protocol(protocol).plan(labelled, random_state)
    voting = parse_voting(vote, vote_weights, entry_names(names, plan.features.specs))
    with ray_executor(resources, RECOVERY) as executor:
        result = run_plan(
            plan,
            names,
            options,
            resources,
            voting=voting,
            cache=None if cache is None else Path(cache),
            executor=executor,
            progress=progress,
        )
    unlabelled = len(features) - len(labelled)
    return replace(result, about={**result.about, "seed": random_state, "unlabelled": unlabelled})
