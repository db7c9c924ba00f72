"""Lists of numbers on the command line."""

import math

from clipfeat.errors import UsageError


def numbers(text: str) -> list[float] | None:
    """Read ``"2,1,1"``; empty is none at all.

    Raises
    ------
    UsageError
        If a part is no number.

    Examples
    --------
    >>> numbers("2, 1,0.5"), numbers("")
    ([2.0, 1.0, 0.5], None)
    """
    try:
        found = [float(part) for part in text.split(",")] if text.strip() else None
    except ValueError as error:
        raise UsageError(f"expected numbers as in 2,1,1, got {text!r}") from error
    if found is not None and not all(map(math.isfinite, found)):
        raise UsageError(f"expected finite numbers, got {text!r}")
    return found
