"""Tests of plots by name."""

import pytest
from matplotlib.figure import Figure

from clipfeat.errors import DataError, UnknownNameError
from clipfeat.evaluate import FewShot, Matrix, Protocol
from clipfeat.report.plotting import PLOTS, plot
from tests.report.runs import make_run, with_generators

OF_PROTOCOL = {"matrix", "few_shot"}


@pytest.mark.parametrize("name", sorted(set(PLOTS) - OF_PROTOCOL))
def test_each_plot_is_a_figure(name: str) -> None:
    """Every plot that suits all protocols can draw the simulated run."""
    run = make_run(with_generators(30), None, {"svm": 1.0, "knn": 0.5})
    figure = plot(run, name)
    assert isinstance(figure, Figure)
    assert figure.axes


@pytest.mark.parametrize(
    ("name", "protocol"), [("matrix", Matrix("generator", 2)), ("few_shot", FewShot([2, 8], 2))]
)
def test_a_protocol_has_a_plot_of_its_own(name: str, protocol: Protocol) -> None:
    """The matrix and the few-shot curve require their protocols."""
    features = with_generators(40)
    assert plot(make_run(features, protocol.plan(features), {"svm": 1.0}), name).axes
    with pytest.raises(DataError, match=f"no data for the plot '{name}'"):
        plot(make_run(features, None, {"svm": 1.0}), name)


def test_entries_choose_the_lines() -> None:
    """Entries can be chosen. By default, the best ones are drawn, best first."""
    run = make_run(with_generators(30), None, {"knn": 0.1, "svm": 2.0})
    labels = [text.get_text() for text in plot(run, "calibration").legends[0].get_texts()]
    assert labels == ["svm", "knn"]
    only = plot(run, "calibration", entries=["knn"])
    assert [text.get_text() for text in only.legends[0].get_texts()] == ["knn"]


def test_unknown_names_list_the_nearest() -> None:
    """The error for a misspelt plot, entry or metric suggests the nearest name."""
    run = make_run(with_generators(30), None, {"svm": 1.0})
    with pytest.raises(UnknownNameError, match="precision_recall"):
        plot(run, "precision-recall")
    with pytest.raises(UnknownNameError, match="svm"):
        plot(run, "roc", entries=["svn"])
    with pytest.raises(UnknownNameError, match="roc_auc"):
        plot(run, "roc", metric="roc_aux")
