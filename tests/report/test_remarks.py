"""Tests of the remarks on runs and models."""

from dataclasses import replace

import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.evaluate.fitting import fit
from clipfeat.evaluate.gains import Gain
from clipfeat.report import model_remarks
from clipfeat.report.remarks import _gain, _late, _tuned
from tests.conftest import make_features


def test_a_worse_vote_is_reported() -> None:
    """A vote is called worse only if its corrected interval is below zero."""
    gain = Gain("soft vote", "svm", "accuracy", -0.03, 0.01, -0.05, -0.01)
    assert _gain(gain).endswith("It is WORSE. Use svm.")
    assert _gain(replace(gain, high=0.01)).endswith("No difference was found.")
    assert _gain(replace(gain, low=0.01, high=0.03)).endswith("It is better.")


def test_a_search_is_one_line() -> None:
    """The line has each parameter's range, the number of candidates and the stopped searches."""
    searches = [
        {"params": {"C": 2.0}, "tried": 5, "out_of_time": False},
        {"params": {"C": 0.5}, "tried": 3, "out_of_time": True},
        {"params": {}, "tried": 1, "out_of_time": True},
    ]
    assert _tuned("svm", searches) == (
        "svm, tuned: C 0.5 to 2, default parameters in 1 of 3 (9 candidates in 3 searches; the "
        "time limit stopped 2 of 3)"
    )


def test_an_exceeded_time_limit_is_reported() -> None:
    """Fits may exceed the limit by 10 % without a remark."""
    assert _late({"time_limit": 60.0, "seconds": 65.0}) == []
    assert "over the limit of 60 s" in _late({"time_limit": 60.0, "seconds": 70.0})[0]
    assert _late({"time_limit": None, "seconds": 70.0}) == []


def test_metadata_of_other_types_is_refused() -> None:
    """Metadata of wrong types in a model file are one error."""
    model = fit(make_features(), "logreg", cv=0)
    assert model_remarks(model) == []
    with pytest.raises(RefusedFileError, match="model file is damaged"):
        model_remarks(replace(model, about={"gain": {"good": "very"}}))
