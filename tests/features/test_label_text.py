"""Tests of different spellings of one class."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.errors import LabelError
from clipfeat.features import FeatureSet, join, stack
from clipfeat.features.label_text import check_spellings, one_spelling
from tests.conftest import make_spec


def a_set(*labels: str, name: str = "a") -> FeatureSet:
    """Make features of an encoder with this name, whose images depend on the name."""
    features = FeatureSet.from_arrays(np.eye(len(labels), 3), labels)
    return replace(features, specs=(make_spec(name, n_features=3),))


def test_the_most_frequent_spelling_is_kept() -> None:
    """Labels that differ in capitals, spaces or Unicode form are merged."""
    counts = {"Re al": 1, "real": 3, "REAL": 3, "fake": 1, "cafe\u0301": 1, "caf\u00e9": 2}
    names = one_spelling(counts)
    assert {names["Re al"], names["real"], names["REAL"]} == {"REAL"}
    assert names["fake"] == "fake" and names["cafe\u0301"] == "caf\u00e9"
    assert one_spelling(counts, like=["Real"])["REAL"] == "Real"
    with pytest.raises(
        LabelError, match=r"'REAL' \(3 images\), 'Re al' \(1 images\).*--merge-labels"
    ):
        check_spellings(counts, "t.csv")
    check_spellings({"real": 1, "fake": 2, "": 4}, "t.csv")


def test_numbers_and_truth_values_are_one_class() -> None:
    """Files that write one class as 1, 1.0 or True can be joined and stacked."""
    one, other = a_set("0", "1", "1"), a_set("0.0", "1.0", "True", name="b")
    assert join([one, other]).labels.tolist() == ["0", "1", "1"]
    test = replace(a_set("False", "True"), keys=np.array([b"x", b"y"], dtype="S32"))
    both, n_train = stack(replace(one, specs=test.specs), test)
    assert n_train == 3 and both.classes == ("0", "1")
    assert both.labels.tolist() == ["0", "1", "1", "0", "1"]


def test_spellings_of_training_and_test_sets() -> None:
    """Different spellings in one set or in two are errors, unless they are merged."""
    mixed = a_set("Real", "real", "fake", "real", "")
    with pytest.raises(LabelError, match="of the features differ only in capitals or spaces"):
        mixed.labelled()
    merged = mixed.merged_labels()
    assert merged.labels.tolist() == ["real", "real", "fake", "real", ""]
    test = replace(a_set("REAL", "fake"), keys=np.array([b"x", b"y"], dtype="S32"))
    with pytest.raises(LabelError, match="the training set and the test set"):
        stack(merged, test)
    both, _ = stack(merged, test.merged_labels(merged.classes))
    assert both.classes == ("real", "fake")
