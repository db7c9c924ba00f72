"""Tests of false positive rates and recalls by source and generator."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from clipfeat.errors import UnknownNameError
from clipfeat.evaluate import KFold, LeaveOneOut, Matrix, benchmark
from clipfeat.evaluate.intervals import share_interval
from clipfeat.evaluate.rates import FALSE_POSITIVES, RECALL, rate_table
from tests.conftest import make_features
from tests.evaluate.test_protocols import generators
from tests.report.runs import make_run, with_generators


def test_rates_are_shares_of_the_decisions_at_the_threshold() -> None:
    """Each source and generator has a rate at the threshold of each fold."""
    data = with_generators(40, groups=True)
    source = np.where(data.y == 0, np.array(["coco", "raise"])[np.arange(80) % 2], "")
    data = replace(data, columns={**data.columns, "source": source})
    run = make_run(
        data, KFold(4).plan(data), {"svm": 0.7}, thresholds=True, threshold_by="accuracy"
    )
    table = rate_table(run)
    assert table is not None
    rows = table.entries["svm"]
    assert [(r.label, r.kind, r.value) for r in rows] == [
        ("real", FALSE_POSITIVES, "coco"), ("real", FALSE_POSITIVES, "raise"),
        ("fake", RECALL, "FLUX"), ("fake", RECALL, "Midjourney"), ("fake", RECALL, "SDXL"),
    ]  # fmt: skip
    cut = np.array(run.thresholds["svm"])[run.fold]
    positive = run.probabilities["svm"][:, 1] > cut
    assert rows[0].rate == pytest.approx(positive[source == "coco"].mean())
    assert rows[2].rate == pytest.approx(positive[run.columns["generator"] == "FLUX"].mean())
    assert rows[0].n_units == len(np.unique(data.groups[source == "coco"]))  # type: ignore[index]
    assert table.title("svm") == (
        "false positive rate of real and recall of fake by generator, source: svm at thresholds "
        "0.400 to 0.460, chosen by accuracy inside each training set, positive class fake"
    )
    assert "test groups" in table.note


def test_a_column_of_the_user_and_the_defaults() -> None:
    """Any column, or the groups, can be chosen. Without a usual column, there is no table."""
    data = make_features(groups=True)
    run = make_run(data, KFold(4).plan(data), {"svm": 1.0})
    assert rate_table(run) is None
    table = rate_table(run, "group")
    assert table is not None
    assert [one.n_images for one in table.entries["svm"]] == [2] * 20
    assert "threshold 0.5" in table.title("svm")
    with pytest.raises(UnknownNameError, match="column 'source'"):
        rate_table(run, "source")


def test_the_column_of_the_protocol_is_the_default() -> None:
    """In leave-one-out, each held-out value has a recall."""
    data = generators()
    renamed = {"model": data.columns["generator"]}
    data = replace(data, columns=renamed)
    table = benchmark(data, "logreg", protocol=LeaveOneOut("model")).leaderboard().rates
    assert table is not None
    held_out = {one.value for one in table.entries["logreg"] if one.kind == RECALL}
    assert held_out == set(renamed["model"][data.y == 1])


def test_a_matrix_has_the_rates_of_each_value_trained_on() -> None:
    """Each rate belongs to the models trained on one value, over all repetitions."""
    data = generators()
    run = benchmark(data, "logreg", protocol=Matrix("generator", 2, repeats=2))
    table = run.leaderboard().rates
    assert table is not None
    names = np.unique(data.columns["generator"][data.y == 1]).tolist()
    rows = table.entries["logreg"]
    assert [one.trained_on for one in rows if one.kind == FALSE_POSITIVES] == names
    assert [(o.trained_on, o.value) for o in rows if o.kind == RECALL] == [
        (trained, tested) for trained in names for tested in names
    ]
    for one in rows:
        here = (run.columns["generator"] == one.value) & (run.y == run.classes.index(one.label))
        of_value = [o for o in run.outcomes if o.trial.trained_on == one.trained_on]
        positive = [(o.probabilities["logreg"][here, 1] > 0.5).mean() for o in of_value]
        assert len(of_value) == 2
        assert one.rate == pytest.approx(np.mean(positive))
        assert one.n_images == here.sum()
        assert one.low <= one.rate <= one.high
    assert table.heads[:2] == ["trained on", "generator"]
    assert table.rows("logreg")[0][:2] == [names[0], "photo"]
    assert "by value trained on and generator: logreg at threshold 0.5" in table.title("logreg")
    assert table.to_pandas()["trained_on"].nunique() == len(names)


def test_intervals_are_exact_and_account_for_groups() -> None:
    """Intervals are those of Clopper and Pearson, and copies do not narrow them."""
    hits = np.repeat([0.0, 1.0], [37, 13])
    exact = binomtest(13, 50).proportion_ci(method="exact")
    assert share_interval(hits, np.arange(50))[1:] == pytest.approx((exact.low, exact.high))
    _, low, high = share_interval(np.repeat(hits, 8), np.repeat(np.arange(50), 8))
    assert low < exact.low + 0.01
    assert high > exact.high - 0.01
    assert share_interval(np.ones(30), np.arange(30))[1:] == pytest.approx((0.884, 1), abs=1e-3)
    assert np.isnan(share_interval(np.ones(30), np.zeros(30))[1])


def test_more_than_two_classes_have_recalls_only() -> None:
    """With more than two classes, there are recalls but no false positive rates."""
    data = make_features(classes=("a", "b", "c"))
    data = replace(data, columns={"source": np.array(["x", "y"])[np.arange(60) % 2]})
    run = make_run(data, KFold(3).plan(data), {"svm": 1.0})
    table = rate_table(run)
    assert table is not None
    assert {one.kind for one in table.entries["svm"]} == {RECALL}
    assert table.title("svm") == "recall by source: svm at the most probable class"
