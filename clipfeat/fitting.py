"""Features to a fitted, scored model."""

from collections.abc import Callable, Sequence
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from clipfeat.ensemble import SoftVotingClassifier
from clipfeat.errors import ClipfeatError, DataError, LabelError, UsageError
from clipfeat.evaluate.benchmark import VOTE, Benchmark, Step, benchmark, entry_names
from clipfeat.evaluate.thresholds import threshold_chooser
from clipfeat.features import FeatureSet
from clipfeat.model import Model
from clipfeat.splits import fit_with_groups
from clipfeat.zoo import CHANCE, parse_names, pick_threads
from clipfeat.zoo.recipe import build, check_recipe


def fit(
    features: FeatureSet,
    clf: str | Sequence[str] = "logreg",
    *,
    cv: int = 5,
    seed: int = 0,
    balance: bool = False,
    calibrate: str = "none",
    bag: int = 0,
    threshold: str | None = None,
    max_fpr: float | None = None,
    n_jobs: int | None = None,
    progress: Callable[[Step], None] = lambda step: None,
) -> Model:
    """Fit a classifier, or a soft vote of several, and score it by cross-validation.

    Parameters
    ----------
    features : FeatureSet
        Labelled images; rows without a label are left out. Of several encoders (`clipfeat.load`
        of several files), every classifier is fitted on each, and all of them vote.
    clf : str or sequence of str
        One name of the zoo, or several (``"logreg,svm"``), which become a soft vote.
    cv : int
        Folds of the cross-validation; 0 for none.
    seed : int
        Of the folds and the classifiers.
    balance : bool
        Whether all classes count alike.
    calibrate, bag
        As in `clipfeat.zoo.recipe.build`: ``"sigmoid"``, 5.
    threshold, max_fpr
        As `metric` and `max_fpr` in `clipfeat.evaluate.thresholds.threshold_chooser`: the model
        decides by a threshold that is chosen on the out-of-fold probabilities of all rows. Its
        scores are those of thresholds that were chosen without the rows they are measured on.
    n_jobs : int, optional
        Threads; None is one for small data, else all processors.
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
        If a threshold is asked for without folds, or of other than two classes.
    DataError
        If a classifier cannot be fitted on these rows.
    """
    names = parse_names(clf)
    if len(names) > 1:
        names = [name for name in names if name != CHANCE]  # it has no say in a vote
    check_recipe(calibrate, bag)
    data = features.labelled()
    choose = threshold_chooser(threshold, max_fpr, data.classes)
    if choose is not None and not cv:
        raise UsageError("a threshold is chosen on out-of-fold probabilities: use 2 folds or more")
    scored: Benchmark | None = None
    if cv:
        scored = benchmark(
            data,
            names,
            cv=cv,
            seed=seed,
            balance=balance,
            calibrate=calibrate,
            bag=bag,
            threshold=threshold,
            max_fpr=max_fpr,
            n_jobs=n_jobs,
            progress=progress,
        )
        if scored.errors:
            raise DataError("; ".join(f"{entry}: {why}" for entry, why in scored.errors.items()))
    threads = pick_threads(n_jobs, data.X.size)
    asked: dict[str, Any] = {"balance": balance, "calibrate": calibrate, "bag": bag}
    members = {
        entry: _on_columns(build(name, random_state=seed, n_jobs=threads, **asked), columns)
        for entry, (name, columns) in entry_names(names, data.specs).items()
    }
    single = len(members) == 1
    estimator = (
        next(iter(members.values())) if single else SoftVotingClassifier(list(members.items()))
    )
    try:
        fit_with_groups(estimator, data.X, data.y, data.split_groups)
    except (ClipfeatError, ValueError) as error:
        kind = LabelError if isinstance(error, LabelError) else DataError
        raise kind(f"cannot fit {', '.join(members)} on {len(data)} images: {error}") from error
    at: float | None = None
    if choose is not None and scored is not None:
        at = choose(data.y, scored.probabilities[next(iter(members)) if single else VOTE])
    return Model(
        estimator=estimator,
        classes=data.classes,
        specs=data.specs,
        members=tuple(members),
        scores=tuple(scored.rows) if scored else (),
        about={
            "images": len(data),
            "cv": cv,
            "seed": seed,
            **asked,
            "threshold_by": scored.about["threshold_by"] if scored else None,
        },
        threshold=at,
    )


def _on_columns(estimator: Any, columns: slice) -> Any:
    """An estimator that sees only its own encoder's columns."""
    if columns == slice(None):
        return estimator
    chosen = ColumnTransformer([("encoder", "passthrough", columns)])
    return Pipeline([("columns", chosen), ("classifier", estimator)])
