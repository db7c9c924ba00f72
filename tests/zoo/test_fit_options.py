"""Tests of the validation and the records of fitting options."""

from typing import Any

import pytest

from clipfeat.errors import UnknownNameError, UsageError
from clipfeat.zoo.fit_options import FitOptions


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"balance": "weight"}, UnknownNameError, "did you mean weights"),
        ({"balance": True}, UnknownNameError, "unknown balance"),
        ({"calibrate": "isotonics"}, UnknownNameError, "did you mean isotonic"),
        ({"threshold": "acuracy"}, UnknownNameError, "did you mean accuracy"),
        ({"bag": 1}, UsageError, "at least 2 folds, got 1"),
        ({"max_fpr": 1.0}, UsageError, "less than 1, got 1.0"),
        ({"max_fpr": 0.0}, UsageError, "above 0 and less than 1, got 0.0"),
        ({"max_fpr": 0.1, "threshold": "accuracy"}, UsageError, "cannot be combined"),
    ],
)
def test_invalid_options_are_refused(
    wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The error for an invalid value names it."""
    with pytest.raises(error, match=message):
        FitOptions(**wrong)


def test_records_are_those_of_version_0_1() -> None:
    """Records are equal to those of version 0.1, so its caches stay valid."""
    first = {"balance": False, "calibrate": "none", "bag": 0, "tune": False, "accelerate": True}
    assert FitOptions().record() == first
    options = FitOptions(balance="prior", bag=3, max_fpr=0.1, positive="fake")
    assert options.record() == first | {"balance": "prior", "bag": 3}
    assert options.threshold_rule == "max_fpr 0.1"


def test_settings_are_those_of_version_0_1() -> None:
    """The same command resumes a run of version 0.1. Later options are added."""
    first = {"balance", "calibrate", "bag", "tune", "threshold", "max_fpr", "accelerate"}
    assert set(FitOptions().settings()) == first
    assert FitOptions(scale="l2").settings()["scale"] == "l2"


def test_auto_is_recorded_as_its_value() -> None:
    """``auto`` is recorded as the value that it selects. A given value is kept."""
    assert FitOptions().resolved("prior") == FitOptions(balance="prior")
    assert FitOptions(balance="none").resolved("prior").balance == "none"
    assert not FitOptions().balances
