"""Tests of the table of thresholds."""

from clipfeat.report.page.threshold_table import thresholds_section
from tests.report.runs import make_run, with_generators


def test_each_kind_of_threshold_has_a_column() -> None:
    """The columns are for 0.5, the chosen threshold and the oracle threshold."""
    run = make_run(with_generators(30), thresholds=True)
    section = thresholds_section(run.rows, ["svm"], "fake")
    assert section is not None and section.table is not None
    assert section.table.heads[1:4] == [
        "at 0.5",
        "at the threshold chosen on training folds",
        "oracle: threshold chosen on the test fold",
    ]
    assert section.table.caption.endswith("The positive class is fake.")
    assert section.table.rows[0][4] == "0.440 ± 0.032"


def test_there_is_no_table_without_a_chosen_threshold() -> None:
    """If no threshold was chosen, there is no table."""
    assert thresholds_section(make_run(with_generators(30)).rows, ["svm"], "fake") is None
