"""Tests of the charts of false positive rates and recalls."""

import numpy as np

from clipfeat.evaluate.protocols import Matrix
from clipfeat.evaluate.rates import RateTable, class_rates, rates
from clipfeat.report.page.summary.rate_chart import MAX_BARS, RateChart, RateGrid, rate_chart
from tests.conftest import make_features
from tests.report.runs import make_run, with_generators


def test_bars_are_the_rates_of_the_table() -> None:
    """False positive rates and recalls are two groups, the worst values first."""
    table = make_run(with_generators(60), thresholds=True).leaderboard().rates
    assert table is not None
    chart = rate_chart(table, "svm")
    assert isinstance(chart, RateChart)
    assert [(of.title, of.is_error) for of in chart.groups] == [
        ("false positive rate of real", True), ("recall of fake", False),
    ]  # fmt: skip
    assert chart.groups[0].bars[0].name == "real"  # photographs have no generator
    recalls = [one.place for one in chart.groups[1].bars]
    assert recalls == sorted(recalls)
    expected = {(f"{rate.rate:.3f}", rate.interval) for rate in table.entries["svm"]}
    assert {(one.value, one.interval) for of in chart.groups for one in of.bars} == expected


def test_the_worst_rates_are_drawn() -> None:
    """With many values, only the worst recalls are drawn, and the others are counted."""
    values = np.array([f"g{i:02d}" for i in range(30)]).repeat(4)
    shares = np.clip(np.arange(120) % 4 < 1 + np.arange(120) // 40, 0, 1).astype(float)
    labels = np.ones(120, dtype=np.int64)
    of_svm = rates(shares, labels, ("real", "fake"), values, np.arange(120).astype(str))
    chart = rate_chart(
        RateTable("generator", ("real", "fake"), {"svm": of_svm}, {"svm": "0.5"}), "svm"
    )
    assert isinstance(chart, RateChart)
    (group,) = chart.groups
    assert (len(group.bars), chart.n_more) == (MAX_BARS, 10)
    assert {one.value for one in group.bars} == {"0.250", "0.500"}


def test_classes_are_drawn_without_a_column_of_generators() -> None:
    """Several classes form one group of recalls, named by class."""
    run = make_run(make_features(30, ("cat", "dog", "owl")), None, {"svm": 1.0})
    chart = rate_chart(class_rates(run), "svm")
    assert isinstance(chart, RateChart)
    (group,) = chart.groups
    assert group.title == "recall"
    assert sorted(one.name for one in group.bars) == ["cat", "dog", "owl"]
    assert rate_chart(class_rates(run), "none") is None


def test_a_matrix_is_a_grid() -> None:
    """Each training value has a row. Each class and value has a column."""
    features = with_generators(60)
    run = make_run(features, Matrix("generator", 2).plan(features), {"svm": 1.0})
    table = run.leaderboard().rates
    assert table is not None
    grid = rate_chart(table, "svm")
    assert isinstance(grid, RateGrid)
    assert [name for name, _ in grid.rows] == ["FLUX", "Midjourney", "SDXL"]
    assert [name for name, _ in grid.heads] == ["real", "FLUX", "Midjourney", "SDXL"]
    cells = [cell for _, of in grid.rows for cell in of]
    assert [cell.is_error for cell in cells[:4]] == [True, False, False, False]
    assert [cell.tip.split(",")[0] for cell in cells] == [
        f"{rate.rate:.3f}" for rate in table.entries["svm"]
    ]
