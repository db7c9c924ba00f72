"""What a run chose and found, in plain sentences."""

from dataclasses import replace

import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.evaluate.fitting import fit
from clipfeat.evaluate.gains import Gain
from clipfeat.report import model_remarks
from clipfeat.report.remarks import _gain, _late, _tuned
from tests.conftest import make_features


def test_a_worse_vote_is_said_to_be() -> None:
    """By more than the standard error, and only then."""
    gain = Gain("soft vote", "svm", "accuracy", -0.02, 0.01)
    assert _gain(gain).endswith("WORSE by more than the standard error: use svm")
    assert "WORSE" not in _gain(replace(gain, value=-0.01))


def test_searches_are_one_line() -> None:
    """From the least to the largest value, how many tried, and whether the time ran out."""
    found = [
        {"params": {"C": 2.0}, "tried": 5, "out_of_time": False},
        {"params": {"C": 0.5}, "tried": 3, "out_of_time": True},
        {"params": {}, "tried": 1, "out_of_time": True},
    ]
    assert _tuned("svm", found) == (
        "svm, tuned: C 0.5 to 2, its own parameters in 1 of 3 (9 candidates in 3 trainings; the "
        "time limit ended 2 of 3, the best so far kept)"
    )


def test_a_limit_that_was_not_kept_is_said() -> None:
    """From a tenth above it on."""
    assert _late({"time_limit": 60.0, "seconds": 65.0}) == []
    assert "over the limit of 60 s" in _late({"time_limit": 60.0, "seconds": 70.0})[0]
    assert _late({"time_limit": None, "seconds": 70.0}) == []


def test_foreign_notes_are_refused() -> None:
    """A model file whose notes are of other kinds is one clear error."""
    model = fit(make_features(), "logreg", cv=0)
    assert model_remarks(model) == []
    with pytest.raises(RefusedFileError, match="it is damaged"):
        model_remarks(replace(model, about={"gain": {"good": "very"}}))
