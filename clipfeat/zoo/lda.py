"""Linear discriminant analysis."""

from typing import Any

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a linear discriminant analysis with Ledoit-Wolf shrinkage of its covariance."""
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
