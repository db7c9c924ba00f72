"""Tests of time limits of classifiers, and of concurrent fits."""

import time

from clipfeat.evaluate import benchmark
from clipfeat.evaluate.tidy_rows import POOLED
from clipfeat.fits.fit_resources import FitResources
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


def test_a_slow_classifier_is_stopped() -> None:
    """A bag of fifty boosters is stopped near the limit, and the other classifier completes."""
    data = make_features(2000, n_features=300, apart=1.0)
    begun = time.monotonic()
    run = benchmark(
        data, "dummy,xgb", protocol=2, options=FitOptions(bag=50),
        resources=FitResources(time_limit=4.0),
    )  # fmt: skip
    assert time.monotonic() - begun < 60
    assert "stopped after the time limit of 4 s" in run.errors["xgb"]
    assert run.entries == ["dummy"]
    assert {row["fold"] for row in run.rows} == {"0", "1", POOLED}


def test_a_child_process_changes_no_result() -> None:
    """With a time limit, which needs a child process, probabilities stay equal."""
    data = make_features(30, apart=1.0)
    plain = benchmark(data, "logreg,svm", protocol=3)
    apart = benchmark(data, "logreg,svm", protocol=3, resources=FitResources(time_limit=600))
    for entry, p in plain.probabilities.items():
        assert (p == apart.probabilities[entry]).all()


def test_fits_side_by_side_change_no_result() -> None:
    """Concurrent fits of boosted trees start first and give the same probabilities."""
    data = make_features(60, n_features=40, apart=1.0)
    names = ["lgbm", "logreg", "xgb"]
    details: list[str] = []
    in_turn = benchmark(data, names, protocol=3, resources=FitResources(n_jobs=1))
    at_once = benchmark(
        data, names, protocol=3, resources=FitResources(n_jobs=2),
        progress=lambda phase: details.append(phase.detail) if phase.name == "fitting" else None,
    )  # fmt: skip
    assert details[-4:] == ["logreg, fold 0", "logreg, fold 1", "logreg, fold 2", ""]
    for entry, p in in_turn.probabilities.items():
        assert (p == at_once.probabilities[entry]).all()
