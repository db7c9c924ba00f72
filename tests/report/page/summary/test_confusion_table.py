"""Tests of the confusion matrix in the summary."""

from clipfeat.report.page.summary.confusion_table import confusion_table
from clipfeat.report.plots.out_of_fold import out_of_fold_predictions
from tests.conftest import make_features
from tests.report.runs import make_run


def test_shares_are_those_of_the_rows() -> None:
    """Each row sums to the number of images of its class."""
    run = make_run(make_features(25, ("cat", "dog", "owl")), None, {"svm": 1.0})
    predictions = out_of_fold_predictions(run, "svm")
    assert predictions is not None
    table = confusion_table("svm", predictions, run.classes)
    assert [sum(int(cell.count) for cell in of) for of in table.rows] == [25, 25, 25]
    first = table.rows[0][0]
    n = int(((predictions.y == 0) & (predictions.y_pred == 0)).sum())
    assert (first.count, first.share, first.is_correct) == (str(n), n / 25, True)
    assert first.tip == f"{n} of 25 images of cat are predicted cat ({n / 25:.1%})"


def test_many_classes_are_pooled_and_have_no_counts() -> None:
    """Above 16 classes, a row pools the others. Empty cells are blank."""
    names = tuple(f"c{i:02d}" for i in range(20))
    run = make_run(make_features(10, names), None, {"svm": 4.0})
    predictions = out_of_fold_predictions(run, "svm")
    assert predictions is not None
    table = confusion_table("svm", predictions, run.classes)
    assert len(table.names) == 16 and table.names[-1] == "all others"
    assert not table.is_small and "pools" in table.note
    assert any(cell.percent == "" for of in table.rows for cell in of)
