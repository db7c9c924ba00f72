"""Baseline that ignores the features."""

from typing import Any

from sklearn.dummy import DummyClassifier

from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a classifier that predicts the class frequencies."""
    return DummyClassifier(strategy="prior", random_state=random_state)
