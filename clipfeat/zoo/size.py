"""Limit on exact methods whose cost is quadratic in the rows."""

import warnings

from clipfeat.errors import ClipfeatWarning

LARGE = 50_000
"""Largest number of training rows for exact kernels and neighbours."""


def warn_of_size(approximation: str) -> None:
    """Warn that a classifier uses an approximation."""
    warnings.warn(f"above {LARGE:,} training rows, {approximation}", ClipfeatWarning, stacklevel=3)
