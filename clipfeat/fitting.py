"""Features to a fitted, scored model."""

from collections.abc import Callable, Sequence
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from clipfeat.ensemble import SoftVotingClassifier
from clipfeat.errors import ClipfeatError, DataError, LabelError
from clipfeat.evaluate.benchmark import Benchmark, Step, benchmark, entry_names
from clipfeat.features import FeatureSet
from clipfeat.model import Model
from clipfeat.splits import fit_with_groups
from clipfeat.zoo import CHANCE, make_classifier, parse_names, pick_threads


def fit(
    features: FeatureSet,
    clf: str | Sequence[str] = "logreg",
    *,
    cv: int = 5,
    seed: int = 0,
    balance: bool = False,
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
    DataError
        If a classifier cannot be fitted on these rows.
    """
    names = parse_names(clf)
    if len(names) > 1:
        names = [name for name in names if name != CHANCE]  # it has no say in a vote
    data = features.labelled()
    scored: Benchmark | None = None
    if cv:
        scored = benchmark(
            data, names, cv=cv, seed=seed, balance=balance, n_jobs=n_jobs, progress=progress
        )
        if scored.errors:
            raise DataError("; ".join(f"{entry}: {why}" for entry, why in scored.errors.items()))
    threads = pick_threads(n_jobs, data.X.size)
    members = {
        entry: _on_columns(
            make_classifier(name, random_state=seed, balance=balance, n_jobs=threads), columns
        )
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
    return Model(
        estimator=estimator,
        classes=data.classes,
        specs=data.specs,
        members=tuple(members),
        scores=tuple(scored.rows) if scored else (),
        about={"images": len(data), "cv": cv, "seed": seed, "balance": balance},
    )


def _on_columns(estimator: Any, columns: slice) -> Any:
    """An estimator that sees only its own encoder's columns."""
    if columns == slice(None):
        return estimator
    chosen = ColumnTransformer([("encoder", "passthrough", columns)])
    return Pipeline([("columns", chosen), ("classifier", estimator)])
