"""Thresholds side by side."""

from clipfeat.report.page.threshold_table import thresholds_section
from tests.report.runs import make_run, with_generators


def test_three_thresholds_each_by_its_name() -> None:
    """At 0.5, chosen in training, and the oracle's, which is said to be one."""
    run = make_run(with_generators(30), thresholds=True)
    section = thresholds_section(run.rows, ["svm"])
    assert section is not None and section.table is not None
    assert section.table.heads[1:4] == [
        "at 0.5", "at the threshold chosen on training folds", "oracle: chosen on the test itself",
    ]  # fmt: skip
    assert section.table.rows[0][4] == "0.440 ± 0.032"


def test_none_where_no_threshold_was_chosen() -> None:
    """Rows at 0.5 alone need no table."""
    assert thresholds_section(make_run(with_generators(30)).rows, ["svm"]) is None
