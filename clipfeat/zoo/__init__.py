"""Registry of the classifiers.

To add a classifier, write a module with a function ``make(options, *, random_state, n_jobs)`` and
add a row here. The function returns an unfitted scikit-learn estimator with ``predict_proba``.
Features are scaled in a step of the estimator's pipeline, so that the scaler is saved with the
model. A projection, such as ``triplet``, is a transformer that precedes a classifier. It has
``transform`` instead of ``predict_proba``.

To add a classifier from another package, define an entry point in the group
``clipfeat.classifiers``. It must refer to a `ClassifierRow`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pkgutil import resolve_name
from typing import Any

from clipfeat.errors import UsageError, unknown_name
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.spaces import Range, Space, WarmPath


@dataclass(frozen=True)
class ClassifierRow:
    """Registry row of a classifier.

    Parameters
    ----------
    name : str
        Name for ``--clf``. If the row comes from an entry point, the name of the entry point
        replaces this name.
    make : str
        Function that makes the classifier, as ``"package.module:function"``. It is imported on
        first use. It takes ``(options, *, random_state, n_jobs)`` and returns an unfitted
        estimator.
    summary : str
        One-line description.
    usual : bool
        Include the classifier in ``--clf all``.
    space : WarmPath or mapping of str to Range, optional
        Parameters that ``tune`` searches, with their ranges. None means that the classifier is
        never tuned.
    refit_keeps_scores : bool
        Whether a fit on more rows of the same kind gives scores with the same distribution. This
        decides which scores `max_fpr` uses to choose the threshold. If True, it uses the
        out-of-fold scores of all training rows. If False, it uses the scores of rows that the model
        is not fitted on. Set True only after a measurement, such as the table ``fpr`` of
        ``benchmarks/statistics.py``.
    calibrated_refit_keeps_scores : bool
        The same for ``calibrate="sigmoid"``, after a measurement such as the table
        ``fpr_calibrated``. It is False for trees: with out-of-fold scores, calibrated ``"xgb"``
        exceeded a bound of 5 % in 13 % of 200 draws.
    side_by_side : bool
        Whether several fits can run in threads of one process. True requires that a fit releases
        the global interpreter lock, limits only its own threads, and gives the same probabilities
        with every number of threads.
    streamed : str
        Function that fits the classifier out of core, as ``"package.module:function"``. Empty if
        the classifier is fitted in memory only. The function takes ``(estimator, rows, y)``. See
        `clipfeat.zoo.streamed`.
    codecs : mapping of str to str
        Codecs that store the fitted estimators in a model file, as ``"package.module:NAME"``, by
        the name of the estimator's class. Codecs that several classifiers share are listed in
        `clipfeat.model.codecs` instead. Without a codec, models of the classifier cannot be saved.

    Examples
    --------
    >>> row = ClassifierRow("nb", "mypackage.bayes:make", "naive Bayes", usual=False)
    """

    name: str
    make: str
    summary: str
    usual: bool = True
    space: Space | None = None
    refit_keeps_scores: bool = False
    calibrated_refit_keeps_scores: bool = False
    side_by_side: bool = False
    streamed: str = ""
    codecs: Mapping[str, str] = field(default_factory=dict)


_TREES = {"max_features": Range(0.01, 0.3), "min_samples_leaf": Range(1, 10, whole=True)}

_ROWS = (
    ClassifierRow(
        "logreg",
        "clipfeat.zoo.logreg:make",
        "logistic regression; a strong baseline",
        space=WarmPath("C", 1e-6, 1e6),  # the range of CLIP's linear probe, arXiv 2103.00020 A.3
        refit_keeps_scores=True,
        calibrated_refit_keeps_scores=True,
        streamed="clipfeat.zoo.streamed.streamed_logreg:fit",
        codecs={"SerialLogisticRegression": "clipfeat.model.codecs.linear:LOGISTIC_CONVERSION"},
    ),
    ClassifierRow(
        "knn",
        "clipfeat.zoo.knn:make",
        "k nearest neighbours by cosine distance; no training",
        space={"n_neighbors": Range(3, 100, whole=True)},
        refit_keeps_scores=True,
        calibrated_refit_keeps_scores=True,
        codecs={"CappedNeighborsClassifier": "clipfeat.model.codecs.neighbors:NEIGHBORS"},
    ),
    ClassifierRow(
        "rf",
        "clipfeat.zoo.forest:make",
        "random forest; robust, slow on wide features",
        space=_TREES,
        refit_keeps_scores=True,
        codecs={
            "OrderedForestClassifier": "clipfeat.model.codecs.trees:FOREST",
            "AcceleratedForestClassifier": "clipfeat.model.codecs.trees:ACCELERATED_FOREST",
        },
    ),
    ClassifierRow(
        "lgbm",
        "clipfeat.zoo.lightgbm:make",
        "gradient boosting by LightGBM",
        space={
            "learning_rate": Range(0.02, 0.3),
            "num_leaves": Range(7, 127, whole=True),
            "min_child_samples": Range(5, 100, whole=True),
            "colsample_bytree": Range(0.05, 1),
        },
        refit_keeps_scores=True,
        side_by_side=True,
        streamed="clipfeat.zoo.streamed.streamed_lightgbm:fit",
        codecs={"PortableLGBMClassifier": "clipfeat.model.codecs.lightgbm:CONVERSION"},
    ),
    ClassifierRow(
        "xgb",
        "clipfeat.zoo.xgboost:make",
        "gradient boosting by XGBoost",
        space={
            "learning_rate": Range(0.02, 0.3),
            "max_depth": Range(2, 8, whole=True, log=False),
            "min_child_weight": Range(0.5, 20),
            "colsample_bytree": Range(0.05, 1),
        },
        refit_keeps_scores=True,
        side_by_side=True,
        streamed="clipfeat.zoo.streamed.streamed_xgboost:fit",
        codecs={
            "PortableXGBClassifier": "clipfeat.model.codecs.xgboost:CONVERSION",
            "LabelEncodedClassifier": "clipfeat.model.codecs.wrappers:LABEL_ENCODED",
        },
    ),
    ClassifierRow(
        "svm",
        "clipfeat.zoo.svm:make",
        "support vector machine with RBF kernel; often the best single classifier",
        space={"C": Range(0.1, 100)},
        refit_keeps_scores=True,
        calibrated_refit_keeps_scores=True,
        codecs={
            "AcceleratedSVC": "clipfeat.model.codecs.kernel_svm:SVC",
            "Nystroem": "clipfeat.model.codecs.kernel_svm:NYSTROEM",
        },
    ),
    ClassifierRow(
        "linsvm",
        "clipfeat.zoo.linear_svm:make",
        "linear support vector machine; for large data",
        usual=False,
        space={"C": Range(1e-4, 100)},
        refit_keeps_scores=True,
        calibrated_refit_keeps_scores=True,
        streamed="clipfeat.zoo.streamed.streamed_linear_svm:fit",
    ),
    ClassifierRow(
        "ridge",
        "clipfeat.zoo.ridge:make",
        "ridge regression on the labels, in closed form",
        usual=False,
        space={"alpha": Range(1e-2, 1e6)},
        refit_keeps_scores=True,
        calibrated_refit_keeps_scores=True,
        codecs={"RidgeClassifier": "clipfeat.model.codecs.linear:RIDGE"},
    ),
    ClassifierRow(
        "lda",
        "clipfeat.zoo.lda:make",
        "linear discriminant analysis with shrinkage; for few images",
        usual=False,
        space={"shrinkage": Range(1e-3, 1)},
        refit_keeps_scores=True,
        calibrated_refit_keeps_scores=True,
        codecs={"LinearDiscriminantAnalysis": "clipfeat.model.codecs.linear:LDA"},
    ),
    ClassifierRow(
        "et",
        "clipfeat.zoo.extra_trees:make",
        "extremely randomised trees",
        usual=False,
        space=_TREES,
        refit_keeps_scores=True,
        codecs={"OrderedExtraTreesClassifier": "clipfeat.model.codecs.trees:EXTRA_TREES"},
    ),
    ClassifierRow(
        "histgb",
        "clipfeat.zoo.histogram_boosting:make",
        "gradient boosting by scikit-learn",
        usual=False,
        space={
            "learning_rate": Range(0.02, 0.3),
            "max_leaf_nodes": Range(7, 127, whole=True),
            "min_samples_leaf": Range(5, 100, whole=True),
        },
        refit_keeps_scores=True,
        codecs={
            "HistogramBoostingClassifier": "clipfeat.model.codecs.histogram_boosting:CONVERSION"
        },
    ),
    ClassifierRow(
        "mlp",
        "clipfeat.zoo.mlp:make",
        "neural network with one hidden layer and dropout, by torch",
        usual=False,
        space={
            "hidden": Range(64, 1024, whole=True),
            "dropout": Range(0, 0.7, log=False),
            "learning_rate": Range(1e-4, 1e-2),
            "weight_decay": Range(1e-4, 1),
        },
        codecs={"MLPHeadClassifier": "clipfeat.model.codecs.networks:MLP"},
    ),
    ClassifierRow(
        "prototype",
        "clipfeat.zoo.prototype:make",
        "nearest class mean; for few images",
        usual=False,
        refit_keeps_scores=True,
        calibrated_refit_keeps_scores=True,
        codecs={"PrototypeClassifier": "clipfeat.model.codecs.neighbors:PROTOTYPE"},
    ),
    ClassifierRow(
        "dummy",
        "clipfeat.zoo.dummy:make",
        "class frequencies; the baseline without features",
        refit_keeps_scores=True,
        calibrated_refit_keeps_scores=True,
        codecs={"DummyClassifier": "clipfeat.model.codecs.dummy:DUMMY"},
    ),
)

PROJECTIONS = {
    row.name: row
    for row in (
        ClassifierRow(
            "triplet",
            "clipfeat.zoo.triplet:make",
            "projection to 512 features, learned with a triplet loss",
            codecs={"TripletProjection": "clipfeat.model.codecs.networks:TRIPLET"},
        ),
    )
}
"""Projections: transforms that can precede a classifier, as in ``triplet+logreg``."""

SMALL = 2_000_000
"""By default, a fit on at least this many values (rows times columns) uses all processors."""

CHANCE = "dummy"
"""The classifier that ignores the features. It takes no part in votes."""


@cache
def classifiers() -> dict[str, ClassifierRow]:
    """Return the rows of all classifiers by name, including those of other installed packages.

    The entry points are read on the first call, not when this module is imported. The module of an
    entry point may import this module, so an earlier import would be circular.
    """
    from clipfeat.system.plugins import with_plugins  # takes 20 ms, and --help does not need it

    builtin = {row.name: row for row in _ROWS}
    return with_plugins(builtin, "clipfeat.classifiers", ClassifierRow)


def keeps_scores(name: str, calibrate: str) -> bool:
    """Return whether a fit on more rows gives scores with the same distribution.

    See `ClassifierRow.refit_keeps_scores`.

    Parameters
    ----------
    name : str
        Name of a classifier, or of a projection and a classifier, such as ``"triplet+svm"``.
    calibrate : str
        As in `FitOptions`. The result is False for methods that were not measured.
    """
    _check_name(name)
    *projections, last = name.split("+")
    row = classifiers()[last]
    rows = [*(PROJECTIONS[projection] for projection in projections), row]
    is_measured = calibrate == "none" or (
        calibrate == "sigmoid" and row.calibrated_refit_keeps_scores
    )
    return is_measured and all(one.refit_keeps_scores for one in rows)


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
        Name of a classifier, or of a projection and a classifier, such as ``"triplet+svm"``. A
        projection overfits its training rows. The pipeline of projection and classifier is
        therefore calibrated as one estimator, on held-out rows.
    options : FitOptions
        Passed to the classifier's ``make`` function, which reads `scale` and `accelerate`.
        `clipfeat.zoo.building.build` applies the other options.
    random_state : int
        Random seed.
    n_jobs : int
        Number of threads, if the classifier supports several. -1 uses all processors.

    Returns
    -------
    estimator
        A classifier with ``predict_proba``. Once fitted, it loads and predicts without a GPU and
        without scikit-learn-intelex.

    Raises
    ------
    UnknownNameError
        If no classifier or projection has this name.
    UsageError
        If `name` has more than one projection, or the classifier cannot be imported.

    Examples
    --------
    >>> make_classifier("logreg").fit([[0.0], [1.0], [2.0]], ["a", "a", "b"]).classes_.tolist()
    ['a', 'b']
    """
    _check_name(name)
    *projections, last = name.split("+")
    classifier = _make(classifiers()[last], options, random_state, n_jobs)
    if projections:
        from sklearn.pipeline import make_pipeline

        from clipfeat.zoo.calibration import GroupCalibratedClassifier

        projection = _make(PROJECTIONS[projections[0]], options, random_state, n_jobs)
        classifier = GroupCalibratedClassifier(
            make_pipeline(projection, classifier), n_splits=3, random_state=random_state
        )
    return classifier


def _make(row: ClassifierRow, options: FitOptions, random_state: int, n_jobs: int) -> Any:
    try:
        make = resolve_name(row.make)
    except (AttributeError, ImportError, ValueError) as error:
        raise UsageError(
            f"classifier {row.name!r} cannot be imported from {row.make!r} "
            f"({type(error).__name__}: {error}). Install or repair the package that provides it"
        ) from error
    return make(options, random_state=random_state, n_jobs=n_jobs)


def _check_name(name: str) -> None:
    *projections, last = name.split("+")
    for projection in projections:
        if projection not in PROJECTIONS:
            raise unknown_name("projection", projection, PROJECTIONS)
    if last not in classifiers():
        raise unknown_name("classifier", last, classifiers())
    if len(projections) > 1:
        raise UsageError(f"{name!r} has {len(projections)} projections. Use at most one")


def pick_threads(n_jobs: int | None, n_values: int) -> int:
    """Choose the number of threads for a fit on `n_values` values (rows times columns).

    If `n_jobs` is None, the fit uses one thread for fewer than `SMALL` values, else all processors.
    On small data, synchronising threads costs more time than it saves. While another process was
    busy, boosting on 560 × 80 values took thirty times as long with two threads as with one.
    """
    if n_jobs is not None:
        return n_jobs
    return 1 if n_values < SMALL else -1


def parse_names(clf: str | Sequence[str]) -> list[str]:
    """Convert the value of ``--clf`` to a list of names.

    Parameters
    ----------
    clf : str or sequence of str
        Names, or a comma-separated list such as ``"logreg,triplet+svm"``. ``"all"`` stands for the
        classifiers with `ClassifierRow.usual`, and ``"every"`` for all classifiers.

    Raises
    ------
    UsageError
        If there is no name, if a name is repeated, or if a name has more than one projection.
    UnknownNameError
        If a name is unknown.
    """
    names = [n.strip() for n in clf.split(",") if n.strip()] if isinstance(clf, str) else list(clf)
    if names == ["every"]:
        return list(classifiers())
    if names == ["all"]:
        return [name for name, row in classifiers().items() if row.usual]
    for name in names:
        _check_name(name)
    if not names:
        raise UsageError(f"no classifier is named in {clf!r}. Pass at least one, such as logreg")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"classifier {name!r} is named {names.count(name)} times in {clf!r}. Name each "
                "classifier only once"
            )
    return names
