"""Trained on each, tested on each."""

from clipfeat.report.plots.matrix import matrix


def rows(**values: float) -> list[dict[str, object]]:
    return [
        {"classifier": "svm", "metric": "roc_auc", "trained_on": name[0], "tested_on": name[1],
         "value": value}
        for name, value in values.items()
    ]  # fmt: skip


def test_the_last_column_is_the_mean_off_the_diagonal() -> None:
    """Folds are averaged; a cell that is not there is empty."""
    table = [*rows(aa=0.9, ab=0.6, ac=0.85, bb=1.0, ba=0.5), *rows(ab=0.7)]
    plot = matrix("svm", table, "roc_auc")
    assert plot is not None
    texts = [one.get_text() for one in plot.figure.axes[0].texts]
    assert texts == ["0.90", "0.65", "0.85", "0.75", "0.50", "1.00", "", "0.50"]
    assert "a 0.75" in plot.alt
    assert matrix("knn", table, "roc_auc") is None
