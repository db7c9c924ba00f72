"""Build estimators from the name of a classifier and its fitting options."""

from collections.abc import Mapping
from typing import Any

from clipfeat.zoo import CHANCE, make_classifier
from clipfeat.zoo.bagging import BaggedClassifier
from clipfeat.zoo.balance import OversampledClassifier, PriorCorrectedClassifier, balanced
from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.spaces import full_names


def build(
    name: str,
    options: FitOptions = FitOptions(),
    *,
    random_state: int = 0,
    n_jobs: int = -1,
    params: Mapping[str, Any] | None = None,
) -> Any:
    """Build an unfitted classifier with the calibration, balancing and bagging of the options.

    Parameters
    ----------
    name : str
        Name of a classifier, or of a projection and a classifier, such as ``"triplet+svm"``.
    options : FitOptions
        Options. `tune`, `threshold`, `max_fpr`, `abstain` and `positive` are ignored, because the
        caller applies them.
    random_state : int
        Random seed of the classifier, the folds and the sampling.
    n_jobs : int
        Number of threads. -1 uses all processors.
    params : mapping, optional
        Parameters of the classifier, by their names in its tuning space or in ``set_params``.

    Returns
    -------
    estimator
        A classifier with ``predict_proba``.

    Raises
    ------
    UnknownNameError
        If no classifier or projection has this name.

    Examples
    --------
    >>> build("knn", FitOptions(calibrate="isotonic", bag=3)).ensemble
    True
    """
    classifier = make_classifier(name, options, random_state=random_state, n_jobs=n_jobs)
    classifier.set_params(**full_names(classifier, params or {}))
    if name == CHANCE:
        return PriorCorrectedClassifier(classifier) if options.balances else classifier
    calibrated = isinstance(classifier, GroupCalibratedClassifier)
    if options.calibrate != "none" and not calibrated:
        classifier = GroupCalibratedClassifier(classifier, random_state=random_state)
        calibrated = True
    if calibrated:
        if options.calibrate != "none":
            classifier.set_params(method=options.calibrate)
        if options.bag:
            classifier.set_params(ensemble=True, n_splits=options.bag)
    if options.balances:  # after calibration, because calibration would undo it
        classifier = balanced(classifier, options.balance, random_state)
    if options.bag and not calibrated:
        classifier = BaggedClassifier(classifier, n_splits=options.bag, random_state=random_state)
    return classifier


def count_fits(classifier: Any) -> int:
    """Count how often one fit of an estimator from `build` fits the inner classifier."""
    if isinstance(classifier, PriorCorrectedClassifier | OversampledClassifier):
        return count_fits(classifier.estimator)
    if isinstance(classifier, BaggedClassifier):
        return int(classifier.n_splits) * count_fits(classifier.estimator)
    if isinstance(classifier, GroupCalibratedClassifier):
        return int(classifier.n_splits) + (0 if classifier.ensemble else 1)
    return 1
