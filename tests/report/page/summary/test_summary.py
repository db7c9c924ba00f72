"""Tests of the summary at the top of the page."""

from dataclasses import replace

from clipfeat.report.page.summary import summarise
from tests.conftest import make_features
from tests.report.runs import make_run, with_generators


def test_all_parts_are_about_the_best_entry() -> None:
    """Rates and confusion matrix are those of the entry with the best score."""
    run = make_run(with_generators(40), data_fingerprint="abc")
    summary = summarise(run, run.leaderboard(), {})
    assert summary.best is not None and summary.chart is not None and summary.matrix is not None
    assert summary.question == "real or fake?"
    assert summary.chart.title == f"{summary.best.entry} at threshold 0.5"
    assert (summary.chart.column, summary.matrix.entry) == ("generator", summary.best.entry)
    assert list(summary.source) == ["spectrum 32px", "5-fold", "data abc", "seed 0"]


def test_runs_without_generators_show_classes() -> None:
    """The chart shows the recalls on the diagonal of the confusion matrix."""
    run = make_run(make_features(30, ("cat", "dog", "owl")), None, {"svm": 1.0})
    summary = summarise(run, run.leaderboard(), {})
    assert summary.chart is not None and summary.matrix is not None
    recalls = {one.name: one.value for one in summary.chart.groups[0].bars}  # type: ignore[union-attr]
    diagonal = {name: f"{of[i].share:.3f}" for i, (name, of) in
                enumerate(zip(run.classes, summary.matrix.rows, strict=True))}  # fmt: skip
    assert recalls == diagonal


def test_a_failed_run_has_a_summary() -> None:
    """Without results, the summary has no best entry and no chart."""
    run = make_run(with_generators(20))
    board = replace(run.leaderboard(), entries=[], standings={}, rates=None)
    summary = summarise(replace(run, outcomes=[], rows=[], errors={"svm": "no"}), board, {})
    assert (summary.best, summary.chart, summary.matrix, summary.protocol) == (None, None, None, "")
    assert "svm" in [line.text for line in summary.trust.lines]
