"""Largest number of rows for methods whose cost is quadratic in the number of rows."""

import warnings

from clipfeat.errors import ClipfeatWarning

LARGE = 50_000
"""Largest number of training rows for an exact kernel and an exact search of neighbours."""


def warn_of_size(approximation: str) -> None:
    """Warn that a classifier uses an approximation for more than `LARGE` training rows."""
    warnings.warn(
        f"with more than {LARGE:,} training rows, {approximation}", ClipfeatWarning, stacklevel=3
    )
