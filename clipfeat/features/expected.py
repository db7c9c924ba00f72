"""Check that an argument is a feature set."""

from pathlib import Path

from clipfeat.errors import UsageError
from clipfeat.features.feature_set import FeatureSet


def check_is_feature_set(value: object, function: str) -> None:
    """Check that an argument is a feature set.

    Parameters
    ----------
    value : object
        The argument.
    function : str
        Name of the function that was called.

    Raises
    ------
    UsageError
        If it is not a feature set. The message states how to make one.

    Examples
    --------
    >>> try:
    ...     check_is_feature_set([[0.5, 1.0]], "clipfeat.fit")
    ... except UsageError as error:
    ...     print(error)
    clipfeat.fit expects a FeatureSet, got list. Pass clipfeat.FeatureSet.from_arrays(X, y)
    """
    if isinstance(value, FeatureSet):
        return
    is_path = isinstance(value, str | Path)
    remedy = "clipfeat.load(path)" if is_path else "clipfeat.FeatureSet.from_arrays(X, y)"
    raise UsageError(f"{function} expects a FeatureSet, got {type(value).__name__}. Pass {remedy}")
