"""Linear discriminant analysis."""

from typing import Any

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """One covariance for all classes, shrunk as far as Ledoit and Wolf's formula says."""
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
