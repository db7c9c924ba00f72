"""Options for fitting a classifier, shared by every entry point.

The module imports neither scikit-learn nor torch. `clipfeat.zoo.building.build` turns a name and
options into an estimator.
"""

from dataclasses import dataclass, fields
from typing import Any

from clipfeat.errors import UsageError, unknown_name

SCALES = ("standard", "l2", "none")
BALANCES = ("none", "prior", "weights", "sampling")
CALIBRATIONS = ("none", "sigmoid", "isotonic", "temperature")
THRESHOLDS = ("accuracy", "balanced_accuracy")
"""Metrics that a decision threshold can maximise."""

_DECISIONS = ("threshold", "max_fpr")  # applied to probabilities after the fit
_FIRST = ("balance", "calibrate", "bag", "tune", "threshold", "max_fpr", "accelerate")  # of 0.1


@dataclass(frozen=True)
class FitOptions:
    """Options for fitting a classifier.

    Parameters
    ----------
    scale : {"standard", "l2", "none"}
        Scaling of the features before the classifier. ``"standard"`` standardises each column.
        ``"l2"`` divides each row by its Euclidean norm, and ``"none"`` keeps the features. In
        arXiv 2603.26387, the choice moves the AUC on unseen manipulations by 6 points. Used by
        ``"logreg"``, ``"linsvm"``, ``"ridge"``, ``"svm"``, ``"mlp"``, ``"knn"``, ``"prototype"``
        and the projection ``"triplet"``. ``"knn"`` and ``"prototype"`` compare L2-normalised rows
        in any case, so that ``"l2"`` and ``"none"`` are the same for them. Ignored by classifiers
        that do not standardise: trees, boosting, ``"lda"`` and ``"dummy"``.
    balance : {"none", "prior", "weights", "sampling"}
        How all classes get the same weight. ``"prior"`` divides the probabilities by the class
        frequencies. ``"weights"`` weights the loss by inverse class frequency. ``"sampling"``
        oversamples the smaller classes. See `clipfeat.zoo.balance.balanced`.
    calibrate : {"none", "sigmoid", "isotonic", "temperature"}
        Calibration method. It replaces the method of a classifier that is always calibrated, such
        as ``"svm"``. See `clipfeat.zoo.calibration.GroupCalibratedClassifier`.
    bag : int
        Number of folds whose models are averaged, or 0 for a single model. Combined with
        calibration, each model is calibrated on its own held-out fold at no extra cost.
    tune : bool
        Search the parameters of each classifier inside each training set. See
        `clipfeat.zoo.tuning`.
    threshold : {"accuracy", "balanced_accuracy"}, optional
        Metric that the decision threshold maximises. Two classes only.
    max_fpr : float, optional
        Choose the decision threshold so that the false positive rate is at most this value, in
        [0, 1). Two classes only. Cannot be combined with `threshold`.
    accelerate : bool
        Fit with scikit-learn-intelex or a GPU, if available.

    Raises
    ------
    UnknownNameError
        If `scale`, `balance`, `calibrate` or `threshold` is unknown.
    UsageError
        If `bag` is 1 or negative, `max_fpr` is outside [0, 1), or both `threshold` and `max_fpr`
        are set.

    Examples
    --------
    >>> FitOptions(calibrate="isotonic", bag=5).bag
    5
    """

    scale: str = "standard"
    balance: str = "none"
    calibrate: str = "none"
    bag: int = 0
    tune: bool = False
    threshold: str | None = None
    max_fpr: float | None = None
    accelerate: bool = True

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise unknown_name("scale", str(self.scale), SCALES)
        if self.balance not in BALANCES:
            raise unknown_name("balance", str(self.balance), BALANCES)
        if self.calibrate not in CALIBRATIONS:
            raise unknown_name("calibration", str(self.calibrate), CALIBRATIONS)
        if self.bag < 0 or self.bag == 1:
            raise UsageError(f"bag must be 0 or at least 2 folds, got {self.bag}")
        if self.threshold is not None and self.threshold not in THRESHOLDS:
            raise unknown_name("threshold metric", str(self.threshold), THRESHOLDS)
        if self.max_fpr is not None and not 0 <= self.max_fpr < 1:
            raise UsageError(f"max_fpr must be in [0, 1), got {self.max_fpr}")
        if self.threshold is not None and self.max_fpr is not None:
            raise UsageError("threshold and max_fpr exclude each other: set only one of them")

    @property
    def decides(self) -> bool:
        """Whether a decision threshold is chosen."""
        return self.threshold is not None or self.max_fpr is not None

    @property
    def threshold_rule(self) -> str | None:
        """The rule that chooses the threshold, as run records hold it."""
        return self.threshold if self.max_fpr is None else f"max_fpr {self.max_fpr:g}"

    def settings(self) -> dict[str, Any]:
        """Return all options by name.

        An option added after version 0.1 is included only if it differs from its default, so that
        the settings of older runs still compare equal.
        """
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name in _FIRST or getattr(self, field.name) != field.default
        }

    def record(self) -> dict[str, Any]:
        """Return the options that change probabilities, as run records and cache keys hold them.

        The values are those of version 0.1, so that its records and cached cells stay valid:
        ``balance="none"`` is recorded as False.
        """
        settings = {k: v for k, v in self.settings().items() if k not in _DECISIONS}
        return settings | {"balance": self.balance != "none" and self.balance}
