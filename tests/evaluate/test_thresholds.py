"""Tests of the choice of thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.errors import UsageError
from clipfeat.evaluate import benchmark
from clipfeat.evaluate.metrics import DECIDED, METRICS, decide, score
from clipfeat.evaluate.thresholds import choose_threshold, threshold_chooser
from clipfeat.evaluate.votes import SOFT_VOTE
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
    """The chosen threshold has the largest value of the metric."""
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
def test_max_fpr_holds_with_the_most_true_positives(
    pairs: list[tuple[int, float]], bound: float
) -> None:
    """A lower threshold with more true positives exceeds the false positive rate."""
    y, p = split(pairs)
    chosen = choose_threshold(y, p[:, 1], max_fpr=bound)
    negatives, found = p[y == 0, 1], (p[y == 1, 1] > chosen).sum()
    assert not len(negatives) or (negatives > chosen).mean() <= bound
    for lower in [0.0, *p[p[:, 1] < chosen, 1]]:
        more = (p[y == 1, 1] > lower).sum() > found
        assert not more or (len(negatives) and (negatives > lower).mean() > bound)


def test_one_half_predicts_the_most_probable_class() -> None:
    """A threshold of 0.5 equals no threshold, also for equal probabilities."""
    p = np.array([[0.5, 0.5], [0.4, 0.6], [0.6, 0.4]])
    assert decide(p, 0.5).tolist() == decide(p).tolist() == [0, 1, 0]


def test_scores_at_a_threshold_are_labelled() -> None:
    """Accuracy is at the threshold, with the one at 0.5 beside it; ROC AUC does not change."""
    y, p = split([(0, 0.1), (0, 0.6), (1, 0.7), (1, 0.8)])
    plain, at = score(y, p), score(y, p, 0.65)
    assert (at["accuracy"], at["accuracy_at_0.5"], plain["accuracy"]) == (1.0, 0.75, 0.75)
    assert (at["true_positive_rate"], at["false_positive_rate"]) == (1.0, 0.0)
    assert at["roc_auc"] == plain["roc_auc"]


def test_a_threshold_needs_two_classes() -> None:
    """With three classes the error lists them; without a threshold there is nothing to choose."""
    assert threshold_chooser(FitOptions(), ("a", "b", "c")) is None
    with pytest.raises(UsageError, match="needs two classes, got 3: a, b, c"):
        threshold_chooser(FitOptions(threshold="accuracy"), ("a", "b", "c"))


def test_every_entry_has_one_threshold_per_fold() -> None:
    """Classifiers and the vote have thresholds, which are also in the tidy rows."""
    run = benchmark(
        make_features(apart=1.0), "logreg,knn", protocol=4, options=FitOptions(threshold="accuracy")
    )
    assert set(run.thresholds) == {"logreg", "knn", SOFT_VOTE}
    rows = run.to_pandas().query("metric == 'threshold' and classifier == @SOFT_VOTE").value
    assert rows.tolist() == run.thresholds[SOFT_VOTE]


def test_a_threshold_helps_with_unequal_classes() -> None:
    """With one positive in nine, a threshold by balanced accuracy beats 0.5 on test rows."""
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
