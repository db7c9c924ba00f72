"""Options for fitting a classifier, shared by every entry point.

The module imports neither scikit-learn nor torch. `clipfeat.zoo.building.build` turns a name and
options into an estimator.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

from clipfeat.errors import UsageError, unknown_name

SCALES = ("standard", "l2", "none")
AUTO = "auto"
BALANCES = ("none", "prior", "weights", "sampling")
CALIBRATIONS = ("none", "sigmoid", "isotonic", "temperature")
THRESHOLDS = ("accuracy", "balanced_accuracy")
"""Metrics that a decision threshold can maximise."""

_DECISIONS = ("threshold", "max_fpr", "abstain", "positive")
"""Options that do not change the probabilities of a fit."""
_FIRST = ("balance", "calibrate", "bag", "tune", "threshold", "max_fpr", "accelerate")
"""Options that existed in version 0.1."""


@dataclass(frozen=True)
class FitOptions:
    """Options for fitting a classifier.

    Parameters
    ----------
    scale : {"standard", "l2", "none"}
        Scaling of the features before the classifier. ``"standard"`` standardises each column.
        ``"l2"`` divides each row by its Euclidean norm, and ``"none"`` keeps the features. The
        choice can matter: it changed the AUC on unseen manipulations by 6 points in one study
        (arXiv 2603.26387). This option applies to ``"logreg"``, ``"linsvm"``, ``"ridge"``,
        ``"svm"``, ``"mlp"``, ``"knn"``, ``"prototype"`` and the projection ``"triplet"``.
        ``"knn"`` and ``"prototype"`` L2-normalise the rows after any scaling, so their results are
        the same for ``"l2"`` and ``"none"``. Trees, boosting, ``"lda"`` and ``"dummy"`` do not
        scale the features and ignore this option.
    balance : {"auto", "none", "prior", "weights", "sampling"}
        Method that gives all classes the same weight, or ``"none"``. ``"prior"`` divides the
        probabilities by the class frequencies. ``"weights"`` weights the loss by inverse class
        frequency. ``"sampling"`` oversamples the smaller classes. See
        `clipfeat.zoo.balance.balanced`. ``"auto"`` is ``"none"``, except with the protocols
        `LeaveOneOut` and `Matrix`. These protocols determine the class frequencies of their
        training sets, so ``"auto"`` is ``"prior"`` with them.
    calibrate : {"none", "sigmoid", "isotonic", "temperature"}
        Calibration method. Some classifiers, such as ``"svm"``, are always calibrated. For them,
        this method replaces their own. See
        `clipfeat.zoo.calibration.GroupCalibratedClassifier`.
    bag : int
        Number of folds for bagging, or 0 for a single model. With bagging, one model per fold is
        fitted on the rows of the other folds, and the probabilities of the models are averaged. If
        calibration is requested too, each model is calibrated on the fold that it was not fitted
        on. This needs no further fits.
    tune : bool
        Search the parameters of each classifier inside each training set. See
        `clipfeat.zoo.tuning`.
    threshold : {"accuracy", "balanced_accuracy"}, optional
        Metric that the decision threshold maximises. This option needs exactly two classes.
    max_fpr : float, optional
        Choose the decision threshold so that the false positive rate is at most this value, in
        (0, 1), with 95 % confidence. A rate of 0.05 needs 59 negative images, and 0.01 needs 299.
        If the images have groups, the bound holds for images of new groups only if there are also
        this many groups of negative images. Twice as many images are needed for ``"mlp"``,
        projections, `tune`, calibrated trees and calibrations other than ``"sigmoid"``, because up
        to half of the training images are then used only to choose the threshold.
        This option needs exactly two classes, and cannot be combined with `threshold`.
    abstain : float, optional
        Level of the prediction sets, in (0, 1). An image is marked as unsure if its prediction set
        does not consist of exactly the predicted class. For each class, at most this share of its
        new images have a prediction set without the class. This holds on average over training
        sets, if new images have the same distribution as the training images. See
        `clipfeat.model.abstention` for the guarantee. A level of 0.05 needs 19 images of each
        class. This option needs twice as many in the same cases as `max_fpr`. `clipfeat.benchmark`
        raises an error if this option is set.
    accelerate : bool
        Fit with scikit-learn-intelex or on a GPU, if either is available.
    positive : str, optional
        Name of the positive class. The false positive rate, the average precision and the
        threshold refer to this class. This option needs exactly two classes. By default, the
        positive class is inferred from the names of the classes. See
        `clipfeat.features.classes.order_classes`.

    Raises
    ------
    UnknownNameError
        If `scale`, `balance`, `calibrate` or `threshold` is unknown.
    UsageError
        If `bag` is 1 or negative. If `max_fpr` or `abstain` is outside (0, 1). If
        both `threshold` and `max_fpr` are set.

    Examples
    --------
    >>> FitOptions(calibrate="isotonic", bag=5).bag
    5
    """

    scale: str = "standard"
    balance: str = AUTO
    calibrate: str = "none"
    bag: int = 0
    tune: bool = False
    threshold: str | None = None
    max_fpr: float | None = None
    abstain: float | None = None
    accelerate: bool = True
    positive: str | None = None

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise unknown_name("scale", str(self.scale), SCALES)
        if self.balance not in (AUTO, *BALANCES):
            raise unknown_name("balance", str(self.balance), (AUTO, *BALANCES))
        if self.calibrate not in CALIBRATIONS:
            raise unknown_name("calibration", str(self.calibrate), CALIBRATIONS)
        if self.bag < 0 or self.bag == 1:
            raise UsageError(
                f"bag must be 0 (no bagging) or at least 2 folds, got {self.bag}. Use --bag 5"
            )
        if self.threshold is not None and self.threshold not in THRESHOLDS:
            raise unknown_name("threshold metric", str(self.threshold), THRESHOLDS)
        if self.max_fpr is not None and not 0 < self.max_fpr < 1:
            raise UsageError(
                f"max_fpr must be above 0 and less than 1, got {self.max_fpr}. Use --max-fpr 0.05"
            )
        if self.abstain is not None and not 0 < self.abstain < 1:
            raise UsageError(
                f"abstain must be above 0 and less than 1, got {self.abstain}. Use --abstain 0.05"
            )
        if self.threshold is not None and self.max_fpr is not None:
            raise UsageError(
                f"threshold {self.threshold!r} and max_fpr {self.max_fpr} cannot be combined. Pass "
                "only one of --threshold and --max-fpr"
            )

    @property
    def decides(self) -> bool:
        """Whether the options request a decision threshold."""
        return self.threshold is not None or self.max_fpr is not None

    @property
    def threshold_rule(self) -> str | None:
        """Rule for the decision threshold, as in run records, such as ``"max_fpr 0.05"``."""
        return self.threshold if self.max_fpr is None else f"max_fpr {self.max_fpr:g}"

    @property
    def balances(self) -> bool:
        """Whether a fit with these options balances the classes."""
        return self.balance not in (AUTO, "none")

    def resolved(self, balance: str) -> "FitOptions":
        """Return the options with `balance` in place of ``"auto"``."""
        return replace(self, balance=balance) if self.balance == AUTO else self

    def settings(self) -> dict[str, Any]:
        """Return the options by name.

        An option that was added after version 0.1 is left out if it has its default value. The
        settings then equal those of older runs, which lack the option.
        """
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name in _FIRST or getattr(self, field.name) != field.default
        }

    def record(self) -> dict[str, Any]:
        """Return the options that change probabilities, for run records and cache keys.

        Version 0.1 recorded ``balance="none"`` as False. This method does the same, so that the
        records and cached cells of version 0.1 stay valid.
        """
        settings = {k: v for k, v in self.settings().items() if k not in _DECISIONS}
        return settings | {"balance": self.balances and self.balance}
