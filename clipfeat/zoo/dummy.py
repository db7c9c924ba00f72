"""What chance is."""

from typing import Any

from sklearn.dummy import DummyClassifier


def make(*, random_state: int, n_jobs: int, accelerate: bool) -> Any:
    """Give every image the classes' frequencies."""
    return DummyClassifier(strategy="prior", random_state=random_state)
