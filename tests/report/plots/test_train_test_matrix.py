"""Tests of the matrix of training by test values."""

from clipfeat.report.plots.train_test_matrix import train_test_plot


def rows(**values: float) -> list[dict[str, object]]:
    """Make tidy rows from values named after a training and a test value, such as ``ab``."""
    return [
        {"classifier": "svm", "metric": "roc_auc", "trained_on": name[0], "tested_on": name[1],
         "value": value}
        for name, value in values.items()
    ]  # fmt: skip


def test_the_last_column_is_the_mean_off_the_diagonal() -> None:
    """The last column is the mean off the diagonal. Missing cells are empty."""
    table = [*rows(aa=0.9, ab=0.6, ac=0.85, bb=1.0, ba=0.5), *rows(ab=0.7)]
    plot = train_test_plot("svm", table, "roc_auc")
    assert plot is not None
    texts = [one.get_text() for one in plot.figure.axes[0].texts]
    assert texts == ["0.90", "0.65", "0.85", "0.75", "0.50", "1.00", "", "0.50"]
    assert "a 0.75" in plot.alt
    assert train_test_plot("knn", table, "roc_auc") is None
