"""Benchmark of classifiers and their votes on the same splits.

The result keeps the out-of-fold probabilities of the test rows, so votes, leaderboards and plots
need no further fits. The decision threshold and the learned votes of a fold are chosen on the
training rows of the fold, from out-of-fold probabilities of these rows. To compute these
probabilities, each classifier is fitted three more times, each time on two thirds of the training
rows. A run with thresholds or learned votes therefore takes about three times as long. This also
holds for bagging, because each of the three fits then fits all models of a bag.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clipfeat.errors import UsageError
from clipfeat.evaluate.entries import entry_names
from clipfeat.evaluate.external_scores import Scores, split_entries
from clipfeat.evaluate.official_split import OfficialSplit, default_protocol
from clipfeat.evaluate.protocols import Protocol, TrainTest, as_protocol
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.run_plan import run_plan
from clipfeat.evaluate.run_record import run_record
from clipfeat.evaluate.separated_duplicates import separated_duplicates
from clipfeat.evaluate.votes import UNIFORM, parse_voting
from clipfeat.features import FeatureSet
from clipfeat.features.expected import check_is_feature_set
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.on_ray import ray_executor
from clipfeat.system.progress import Phase, Report, reporting
from clipfeat.zoo import parse_names
from clipfeat.zoo.fit_options import FitOptions

RECOVERY = "run the same command again. With -o, it resumes from the finished cells"


def benchmark(
    features: FeatureSet,
    clf: str | Sequence[str | Scores] = "all",
    *,
    protocol: int | Protocol | None = None,
    options: FitOptions = FitOptions(),
    vote: str | Sequence[str] = UNIFORM,
    vote_weights: Sequence[float] | None = None,
    random_state: int = 0,
    resources: FitResources = FitResources(),
    cache: str | Path | None = None,
    progress: bool | Report = True,
) -> Benchmark:
    """Compare classifiers and their votes on the same splits.

    The entries of the result are classifiers and votes.

    Parameters
    ----------
    features : FeatureSet
        Labelled images. Rows without a label are left out. With several encoders, every classifier
        is fitted on the features of each encoder, and all these entries vote. The frames, faces and
        views of a file are separate training rows. Their probabilities are averaged to score the
        file. Identical images share a fold. Near duplicates can be in different folds, and the
        result states how many test images have a near duplicate in training.
        `FeatureSet.near_duplicates_grouped` keeps near duplicates in one fold.
    clf : str or sequence of str or Scores
        ``"all"``, or names of classifiers, such as ``"logreg,svm"``. A `Scores` object adds the
        scores of another detector as an entry, which is not fitted and does not vote.
    protocol : int or Protocol, optional
        Number of folds of a stratified cross-validation, or a protocol: `KFold`, `LeaveOneOut`,
        `Matrix`, `FewShot`, `TrainTest` or `OfficialSplit`. The default is `OfficialSplit` if the
        column ``"split"`` has training images, and also test or validation images. Otherwise, the
        default is 5 folds.
    options : FitOptions
        Balancing, calibration, bagging, parameter search, decision threshold and positive class.
        ``Benchmark.about["positive_by"]`` states how the positive class was chosen. Parameters and
        thresholds are chosen inside each training set.
    vote : str or sequence of str
        ``"all"``, or one or more of ``"uniform"``, ``"greedy"``, ``"log_loss"`` and ``"stacking"``.
        Each vote is an entry of the result. Votes other than ``"uniform"`` are learned. With
        learned votes, the run takes about three times as long.
    vote_weights : sequence of float, optional
        Weights for one more vote. Pass one number for each entry that votes, in the order of the
        entries.
    random_state : int
        Random seed of the folds and the classifiers.
    resources : FitResources
        Threads, time limit per classifier, and engine.
    cache : path, optional
        Folder for finished cells. A later call reads these cells and does not fit them again. See
        `clipfeat.fits.cache`.
    progress : bool or callable
        Whether to show the phases of the run on standard error or in the notebook. A callable is
        called with each `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    Benchmark
        Scores and out-of-fold probabilities. Entries that fail are listed in ``Benchmark.errors``
        and do not affect the other entries.

    Raises
    ------
    LabelError
        If there are no labels or there is only one class. If a class has fewer images or groups
        than there are folds.
    UsageError
        If `features` is not a feature set. If the protocol cannot be used with these features. If a
        threshold or a positive class is requested and there are not exactly two classes. If
        `vote_weights` does not have one number for each entry that votes. If `options` sets
        `abstain`.
    UnknownNameError
        If a classifier, a vote or the positive class is unknown.
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
    check_is_feature_set(features, "clipfeat.benchmark")
    arguments = dict(locals())
    if options.abstain is not None:
        raise UsageError("abstain has no effect in a benchmark. Pass it to fit, or leave it out")
    requested, scores = split_entries(clf)
    names = parse_names(requested) if requested or not scores else []
    labelled = features.labelled(options.positive)
    chosen = default_protocol(labelled) if protocol is None else as_protocol(protocol)
    plan = chosen.plan(labelled, random_state)
    voting = parse_voting(vote, vote_weights, entry_names(names, plan.features.specs))
    with reporting(progress) as report, ray_executor(resources, RECOVERY) as executor:
        result = run_plan(
            plan,
            [*names, *scores],
            options,
            resources,
            voting=voting,
            cache=None if cache is None else Path(cache),
            executor=executor,
            report=report,
        )
        report(Phase("searching near duplicates"))
        near_duplicates = separated_duplicates(plan.features, plan.trials)
    resolved = options.resolved(plan.balance)
    arguments |= {"clf": [*names, *scores], "protocol": chosen, "options": resolved}
    about = {
        **result.about,
        **run_record(arguments, plan.features, accelerate=options.accelerate),
        "seed": random_state,
        "unlabelled": len(features) - len(labelled),
        "near_duplicates": near_duplicates,
        "given_split": isinstance(chosen, TrainTest | OfficialSplit),
    }
    return replace(result, about=about)
