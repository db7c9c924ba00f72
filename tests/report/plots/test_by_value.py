"""Tests of scores by the values of a column."""

from clipfeat.evaluate.protocols import LeaveOneOut
from clipfeat.report.plots.by_value import by_value_plot
from clipfeat.report.plots.out_of_fold import out_of_fold_predictions
from tests.report.runs import make_run, with_generators

SKILLS = {"svm": 1.0, "knn": 0.5}


def test_a_value_with_one_class_shows_its_recall() -> None:
    """A generator, which has only fakes, shows its recall. The lowest comes first."""
    run = make_run(with_generators(60), skills=SKILLS)
    a = out_of_fold_predictions(run, "svm")
    assert a is not None
    plot = by_value_plot({"svm": a}, run.columns["generator"], "generator", run.classes)
    flux = run.columns["generator"][a.row] == "FLUX"
    assert f"FLUX {(a.y_pred[flux] == 1).mean():.3f}" in plot.alt
    widths = [patch.get_width() for patch in plot.figure.axes[0].patches]  # type: ignore[attr-defined]
    assert len(widths) == 4
    assert widths == sorted(widths)
    ticks = [label.get_text() for label in plot.figure.axes[0].get_yticklabels()]
    assert "(none) (60, only real)" in ticks


def test_held_out_values_are_scored_on_their_folds() -> None:
    """In leave-one-out, a bar is the balanced accuracy of its fold."""
    features = with_generators(60)
    run = make_run(features, LeaveOneOut("generator").plan(features), SKILLS)
    predictions = {entry: a for entry in SKILLS if (a := out_of_fold_predictions(run, entry))}
    plot = by_value_plot(predictions, run.columns["generator"], "generator", run.classes)
    value = next(
        row["value"] for row in run.rows
        if (row["classifier"], row["fold"], row["metric"]) == ("svm", "SDXL", "balanced_accuracy")
    )  # fmt: skip
    assert f"SDXL {value:.3f}" in plot.alt
    bars = plot.figure.axes[0].patches
    assert len(bars) == 6
    assert min(patch.get_width() for patch in bars) > 0.3  # type: ignore[attr-defined]
