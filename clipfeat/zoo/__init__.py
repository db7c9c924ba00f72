"""The classifiers, by name.

A new one is one file with a ``make(random_state, n_jobs)`` that returns an unfitted
scikit-learn estimator with ``predict_proba``, and one row here. Scaling is a step of its pipeline,
so that it travels with the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from clipfeat.errors import UsageError, unknown_name


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
    """

    name: str
    make: str
    summary: str


_ROWS = (
    ClassifierRow("logreg", "logreg:make", "logistic regression; fast, calibrated, hard to beat"),
    ClassifierRow("knn", "knn:make", "k nearest neighbours by cosine; nothing to learn"),
    ClassifierRow("rf", "forest:make", "random forest; robust, slow on wide features"),
    ClassifierRow("lgbm", "lightgbm:make", "gradient boosting by LightGBM"),
    ClassifierRow("xgb", "xgboost:make", "gradient boosting by XGBoost"),
    ClassifierRow("svm", "svm:make", "RBF support vectors, calibrated; often the best single one"),
    ClassifierRow("dummy", "dummy:make", "the classes' frequencies; what chance is"),
)
CLASSIFIERS = {row.name: row for row in _ROWS}

SMALL = 2_000_000

CHANCE = "dummy"
"""The classifier that ignores the features; it takes no part in votes."""


def make_classifier(
    name: str, *, random_state: int = 0, balance: bool = False, n_jobs: int = -1
) -> Any:
    """Make an unfitted classifier.

    Parameters
    ----------
    name : str
        One of `CLASSIFIERS`.
    random_state : int
        Seed of all that is random in it.
    balance : bool
        Whether all classes count alike, however many rows they have.
    n_jobs : int
        Threads, for those that use them; -1 is all processors.

    Raises
    ------
    UnknownNameError
        If there is no such classifier.

    Examples
    --------
    >>> make_classifier("logreg").fit([[0.0], [1.0], [2.0]], ["a", "a", "b"]).classes_.tolist()
    ['a', 'b']
    """
    if name not in CLASSIFIERS:
        raise unknown_name("classifier", name, CLASSIFIERS)
    module, _, function = CLASSIFIERS[name].make.partition(":")
    make = getattr(import_module(f"clipfeat.zoo.{module}"), function)
    classifier = make(random_state=random_state, n_jobs=n_jobs)
    if balance:
        from clipfeat.zoo.balance import PriorCorrectedClassifier

        return PriorCorrectedClassifier(classifier)
    return classifier


def pick_threads(n_jobs: int | None, n_values: int) -> int:
    """How many threads to use on a matrix of `n_values`, where nobody said: one if it is small.

    Threads that wait for each other cost more than they bring there: beside another busy process,
    boosting on 560 × 80 was measured to take thirty times as long with two threads as with one.
    """
    if n_jobs is not None:
        return n_jobs
    return 1 if n_values < SMALL else -1


def parse_names(clf: str | Sequence[str]) -> list[str]:
    """Read ``"logreg,svm"``, ``"all"`` or a sequence of names.

    Raises
    ------
    UsageError
        If there is none, or one comes twice.
    UnknownNameError
        If one is not known.
    """
    names = [n.strip() for n in clf.split(",") if n.strip()] if isinstance(clf, str) else list(clf)
    if names == ["all"]:
        return list(CLASSIFIERS)
    for name in names:
        if name not in CLASSIFIERS:
            raise unknown_name("classifier", name, CLASSIFIERS)
    if not names or len(set(names)) < len(names):
        raise UsageError(f"name one classifier or more, each once, got {clf!r}")
    return names
