"""Thresholds: what they hold on the rows they are chosen on, and that they see no others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.errors import UnknownNameError, UsageError
from clipfeat.evaluate import benchmark
from clipfeat.evaluate.metrics import DECIDED, METRICS, decide, score
from clipfeat.evaluate.thresholds import choose_threshold, threshold_chooser
from clipfeat.evaluate.votes import SOFT_VOTE as VOTE
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features

rows = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.5, 0.5 + 1e-16, 0.7, 0.9, 1.0])),
    min_size=2,
    max_size=30,
)


def split(pairs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    y, positive = (np.array(column) for column in zip(*pairs, strict=True))
    return y, np.column_stack([1 - positive, positive])


@settings(max_examples=200, deadline=None)
@given(rows, st.sampled_from(DECIDED))
def test_no_threshold_is_better(pairs: list[tuple[int, float]], metric: str) -> None:
    """The chosen one has the largest value of all thresholds, by the metric's own definition."""
    y, p = split(pairs)
    if metric == "balanced_accuracy" and len(set(y)) < 2:
        return
    chosen = choose_threshold(y, p[:, 1], metric=metric)
    of = [
        METRICS[metric].function(y, np.eye(2)[decide(p, at)])
        for at in [chosen, 0.0, *p[:, 1], *(p[:, 1] - 1e-9)]
        if at >= 0
    ]
    assert 0 <= chosen <= 1
    assert of[0] >= max(of) - 1e-9


@settings(max_examples=200, deadline=None)
@given(rows, st.floats(0, 0.99))
def test_the_bound_holds_and_costs_no_more_than_it_must(
    pairs: list[tuple[int, float]], bound: float
) -> None:
    """No more false positives than allowed; any lower threshold that finds more breaks it."""
    y, p = split(pairs)
    chosen = choose_threshold(y, p[:, 1], max_fpr=bound)
    negatives, found = p[y == 0, 1], (p[y == 1, 1] > chosen).sum()
    assert not len(negatives) or (negatives > chosen).mean() <= bound
    for lower in [0.0, *p[p[:, 1] < chosen, 1]]:
        more = (p[y == 1, 1] > lower).sum() > found
        assert not more or (len(negatives) and (negatives > lower).mean() > bound)


def test_one_half_is_the_likeliest() -> None:
    """A threshold of 0.5 decides as none does, equal probabilities too."""
    p = np.array([[0.5, 0.5], [0.4, 0.6], [0.6, 0.4]])
    assert decide(p, 0.5).tolist() == decide(p).tolist() == [0, 1, 0]


def test_scores_at_a_threshold_are_labelled() -> None:
    """Accuracy is that of the decisions, the one at 0.5 stands beside; rankings do not change."""
    y, p = split([(0, 0.1), (0, 0.6), (1, 0.7), (1, 0.8)])
    plain, at = score(y, p), score(y, p, 0.65)
    assert (at["accuracy"], at["accuracy_at_0.5"], plain["accuracy"]) == (1.0, 0.75, 0.75)
    assert (at["true_positive_rate"], at["false_positive_rate"]) == (1.0, 0.0)
    assert at["roc_auc"] == plain["roc_auc"]


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (("accuracy", 0.1, ("a", "b")), UsageError, "not by both"),
        (("roc_auc", None, ("a", "b")), UnknownNameError, "Known: accuracy, balanced_accuracy"),
        ((None, 1.5, ("a", "b")), UsageError, "a share"),
        (("accuracy", None, ("a", "b", "c")), UsageError, "there are 3: a, b, c"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    asked: tuple[str | None, float | None, tuple[str, ...]],
    error: type[Exception],
    message: str,
) -> None:
    """Two ways at once, a metric without decisions, no share, more than two classes."""
    with pytest.raises(error, match=message):
        threshold_chooser(*asked)


def test_every_entry_and_the_vote_have_one_a_fold() -> None:
    """Thresholds are per fold, and in the rows."""
    run = benchmark(
        make_features(apart=1.0), "logreg,knn", protocol=4, options=FitOptions(threshold="accuracy")
    )
    assert set(run.thresholds) == {"logreg", "knn", VOTE}
    rows = run.to_pandas().query("metric == 'threshold' and classifier == @VOTE").value
    assert rows.tolist() == run.thresholds[VOTE]


def test_a_threshold_helps_where_classes_are_unequal() -> None:
    """With one positive in nine, a threshold by balanced accuracy beats 0.5 on unseen rows."""
    data = make_features(180, apart=1.5)
    data = data.take(np.flatnonzero((data.y == 0) | (np.arange(360) % 9 == 0)))
    table = benchmark(
        data, "logreg", protocol=4, options=FitOptions(threshold="balanced_accuracy")
    ).to_pandas()
    mean = table.groupby("metric").value.mean()
    assert mean["balanced_accuracy"] > mean["balanced_accuracy_at_0.5"] + 0.05
    bounded = benchmark(data, "logreg", protocol=4, options=FitOptions(max_fpr=0.1)).to_pandas()
    rate = bounded.groupby("metric").value.mean()["false_positive_rate"]
    assert 0.02 < rate < 0.2
