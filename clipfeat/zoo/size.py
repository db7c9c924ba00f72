"""Where the work that grows with the square of the rows ends."""

import warnings

from clipfeat.errors import ClipfeatWarning

LARGE = 50_000
"""Training rows up to which kernels and neighbours are exact."""


def warn_of_size(what: str) -> None:
    """Say what a classifier does instead of the exact thing."""
    warnings.warn(f"past {LARGE:,} training rows {what}", ClipfeatWarning, stacklevel=3)
