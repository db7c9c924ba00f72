"""How classifiers are fitted: the options that every entry point shares."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FitOptions:
    """Options for fitting a classifier.

    Parameters
    ----------
    balance : str
        ``"none"``, or how all classes come to weigh the same: one of
        `clipfeat.zoo.balance.BALANCES`.
    calibrate : str
        ``"none"`` or one of `clipfeat.zoo.calibration.METHODS`.
    bag : int
        Average the models of this many folds; 0 for a single model.
    tune : bool
        Search each classifier's parameters, inside each training set.
    threshold : str, optional
        Choose the decision threshold that maximises this metric: ``"accuracy"`` or
        ``"balanced_accuracy"``. Two classes only.
    max_fpr : float, optional
        Choose the decision threshold so that the false positive rate is at most this value, in
        [0, 1). Two classes only; not together with `threshold`.
    accelerate : bool
        Use scikit-learn-intelex, or a GPU, if available.
    """

    balance: str = "none"
    calibrate: str = "none"
    bag: int = 0
    tune: bool = False
    threshold: str | None = None
    max_fpr: float | None = None
    accelerate: bool = True
