"""The classifiers, by name.

A new one is one file with a ``make(options, *, random_state, n_jobs)`` that returns an unfitted
scikit-learn estimator with ``predict_proba``, and one row here. Scaling is a step of its pipeline,
so that it travels with the model. A projection is the same with ``transform``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from clipfeat.errors import UsageError, unknown_name
from clipfeat.zoo.fit_options import FitOptions


@dataclass(frozen=True)
class ClassifierRow:
    """A classifier of the zoo.

    Parameters
    ----------
    name : str
        What ``--clf`` takes.
    make : str
        ``"module:function"`` that makes it; imported when it is needed.
    summary : str
        What it is and what it is good for, in one line.
    usual : bool
        Whether it is one of ``all``: those that differ most, and are quick enough to try at once.
    """

    name: str
    make: str
    summary: str
    usual: bool = True


_ROWS = (
    ClassifierRow("logreg", "logreg:make", "logistic regression; fast, calibrated, hard to beat"),
    ClassifierRow("knn", "knn:make", "k nearest neighbours by cosine; nothing to learn"),
    ClassifierRow("rf", "forest:make", "random forest; robust, slow on wide features"),
    ClassifierRow("lgbm", "lightgbm:make", "gradient boosting by LightGBM"),
    ClassifierRow("xgb", "xgboost:make", "gradient boosting by XGBoost"),
    ClassifierRow("svm", "svm:make", "RBF support vectors, calibrated; often the best single one"),
    ClassifierRow("linsvm", "linear_svm:make", "linear support vectors; large sets", False),
    ClassifierRow("ridge", "ridge:make", "ridge regression on the labels, in closed form", False),
    ClassifierRow("lda", "lda:make", "linear discriminant, shrunk; few-shot", False),
    ClassifierRow("et", "extra_trees:make", "extremely randomised trees", False),
    ClassifierRow("histgb", "histogram_boosting:make", "gradient boosting by scikit-learn", False),
    ClassifierRow("mlp", "mlp:make", "one hidden layer with dropout, by torch", False),
    ClassifierRow("prototype", "prototype:make", "nearest class mean; few-shot", False),
    ClassifierRow("dummy", "dummy:make", "the classes' frequencies; what chance is"),
)
CLASSIFIERS = {row.name: row for row in _ROWS}

PROJECTIONS = {
    row.name: row
    for row in (
        ClassifierRow("triplet", "triplet:make", "a projection learned by triplets, to 512"),
    )
}
"""What may stand in front of a classifier: ``triplet+logreg``."""

SMALL = 2_000_000

CHANCE = "dummy"
"""The classifier that ignores the features; it takes no part in votes."""


def make_classifier(
    name: str,
    options: FitOptions = FitOptions(),
    *,
    random_state: int = 0,
    n_jobs: int = -1,
) -> Any:
    """Make an unfitted classifier, without bagging, balancing or further calibration.

    Parameters
    ----------
    name : str
        One of `CLASSIFIERS`, or a projection and a classifier: ``"triplet+svm"``. A projection
        overfits its training rows, so the pipeline is calibrated as one estimator.
    options : FitOptions
        Passed to the classifier's ``make`` function, which reads `accelerate`.
        `clipfeat.zoo.building.build` applies the other options.
    random_state : int
        Random seed.
    n_jobs : int
        Number of threads, for classifiers that use several; -1 uses all processors.

    Returns
    -------
    estimator
        A classifier with ``predict_proba``. Neither prediction nor loading needs the accelerator.

    Raises
    ------
    UnknownNameError
        If there is no such classifier.

    Examples
    --------
    >>> make_classifier("logreg").fit([[0.0], [1.0], [2.0]], ["a", "a", "b"]).classes_.tolist()
    ['a', 'b']
    """
    _check_name(name)
    *projections, last = name.split("+")
    classifier = _make(CLASSIFIERS[last], options, random_state, n_jobs)
    if projections:
        from sklearn.pipeline import make_pipeline

        from clipfeat.zoo.calibration import GroupCalibratedClassifier

        projection = _make(PROJECTIONS[projections[0]], options, random_state, n_jobs)
        classifier = GroupCalibratedClassifier(
            make_pipeline(projection, classifier), n_splits=3, random_state=random_state
        )
    return classifier


def _make(row: ClassifierRow, options: FitOptions, random_state: int, n_jobs: int) -> Any:
    module, _, function = row.make.partition(":")
    make = getattr(import_module(f"clipfeat.zoo.{module}"), function)
    return make(options, random_state=random_state, n_jobs=n_jobs)


def _check_name(name: str) -> None:
    *projections, last = name.split("+")
    for projection in projections:
        if projection not in PROJECTIONS:
            raise unknown_name("projection", projection, PROJECTIONS)
    if last not in CLASSIFIERS:
        raise unknown_name("classifier", last, CLASSIFIERS)
    if len(projections) > 1:
        raise UsageError(f"one projection may stand before a classifier, got {name!r}")


def pick_threads(n_jobs: int | None, n_values: int) -> int:
    """How many threads to use on a matrix of `n_values`, where nobody said: one if it is small.

    Threads that wait for each other cost more than they bring there: beside another busy process,
    boosting on 560 × 80 was measured to take thirty times as long with two threads as with one.
    """
    if n_jobs is not None:
        return n_jobs
    return 1 if n_values < SMALL else -1


def parse_names(clf: str | Sequence[str]) -> list[str]:
    """Read ``"logreg,triplet+svm"``, ``"all"`` (the usual ones), ``"every"`` or a sequence.

    Raises
    ------
    UsageError
        If there is none, or one comes twice.
    UnknownNameError
        If one is not known.
    """
    names = [n.strip() for n in clf.split(",") if n.strip()] if isinstance(clf, str) else list(clf)
    if names == ["every"]:
        return list(CLASSIFIERS)
    if names == ["all"]:
        return [name for name, row in CLASSIFIERS.items() if row.usual]
    for name in names:
        _check_name(name)
    if not names or len(set(names)) < len(names):
        raise UsageError(f"name one classifier or more, each once, got {clf!r}")
    return names
