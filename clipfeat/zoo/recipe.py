"""A classifier of the zoo with what was asked of it around it: calibrated, balanced, bagged."""

from collections.abc import Mapping
from typing import Any

from clipfeat.errors import UsageError, unknown_name
from clipfeat.zoo import CHANCE, make_classifier
from clipfeat.zoo.bagging import BaggedClassifier
from clipfeat.zoo.balance import (
    BALANCES,
    OversampledClassifier,
    PriorCorrectedClassifier,
    balanced,
)
from clipfeat.zoo.calibration import METHODS, GroupCalibratedClassifier
from clipfeat.zoo.tuning import full_names

CALIBRATIONS = ("none", *METHODS)


def build(
    name: str,
    *,
    random_state: int = 0,
    n_jobs: int = -1,
    balance: bool | str = False,
    accelerate: bool = True,
    calibrate: str = "none",
    bag: int = 0,
    params: Mapping[str, Any] | None = None,
) -> Any:
    """Make an unfitted classifier with all that surrounds it.

    Parameters
    ----------
    name, random_state, n_jobs, balance, accelerate
        As in `clipfeat.zoo.make_classifier`. Balancing comes after calibration, which would
        otherwise undo it.
    calibrate : str
        ``"none"`` or one of `clipfeat.zoo.calibration.METHODS`. A classifier that is calibrated
        anyway changes its method, and is not calibrated twice.
    bag : int
        Average the models of so many folds; 0 for a single model. With calibration, each of them
        is calibrated on the rows that it did not see, which costs no further fits.
    params : mapping, optional
        Parameters of the bare classifier, by its own names or as in ``set_params``.

    Raises
    ------
    UnknownNameError
        If there is no such classifier or calibration.
    UsageError
        If `bag` is 1 or negative.

    Examples
    --------
    >>> build("knn", calibrate="isotonic", bag=3).ensemble
    True
    """
    check_recipe(calibrate, bag, balance)
    classifier = make_classifier(
        name, random_state=random_state, n_jobs=n_jobs, accelerate=accelerate
    )
    classifier.set_params(**full_names(classifier, params or {}))
    if name == CHANCE:
        return PriorCorrectedClassifier(classifier) if balance else classifier
    calibrated = isinstance(classifier, GroupCalibratedClassifier)
    if calibrate != "none" and not calibrated:
        classifier = GroupCalibratedClassifier(classifier, random_state=random_state)
        calibrated = True
    if calibrated:
        if calibrate != "none":
            classifier.set_params(method=calibrate)
        if bag:
            classifier.set_params(ensemble=True, n_splits=bag)
    if balance:
        how = "prior" if balance is True else balance
        classifier = balanced(classifier, how, random_state)
    if bag and not calibrated:
        classifier = BaggedClassifier(classifier, n_splits=bag, random_state=random_state)
    return classifier


def check_recipe(calibrate: str, bag: int, balance: bool | str = False) -> None:
    """Refuse what cannot be built, before the work rather than after; see `build`."""
    if calibrate not in CALIBRATIONS:
        raise unknown_name("calibration", calibrate, CALIBRATIONS)
    if isinstance(balance, str) and balance not in BALANCES:
        raise unknown_name("balance", balance, BALANCES)
    if bag < 0 or bag == 1:
        raise UsageError(f"a bag takes 2 folds or more, or 0 for none, got {bag}")


def count_fits(classifier: Any) -> int:
    """How many fits of the bare classifier one fit of a recipe is."""
    if isinstance(classifier, PriorCorrectedClassifier | OversampledClassifier):
        return count_fits(classifier.estimator)
    if isinstance(classifier, BaggedClassifier):
        return int(classifier.n_splits) * count_fits(classifier.estimator)
    if isinstance(classifier, GroupCalibratedClassifier):
        return int(classifier.n_splits) + (0 if classifier.ensemble else 1)
    return 1
