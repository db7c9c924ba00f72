"""Tests of the choice of thresholds."""

from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from benchmarks.fitted_simulations import fresh_rates
from clipfeat.errors import ClipfeatWarning, DataError, UsageError
from clipfeat.evaluate import benchmark
from clipfeat.evaluate.fitting import fit
from clipfeat.evaluate.metrics import DECIDED, METRICS, decide, score
from clipfeat.evaluate.thresholds import (
    VIOLATION,
    allowed_above,
    check_negatives,
    choose_threshold,
    effective_number,
    negatives_needed,
    threshold_chooser,
    umbrella_rank,
)
from clipfeat.evaluate.votes import SOFT_VOTE
from clipfeat.fits.fit_resources import FitResources
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
    """No threshold has a larger value of the metric than the chosen one."""
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
@given(rows, st.floats(0.01, 0.99))
def test_max_fpr_takes_the_smallest_allowed_threshold(
    pairs: list[tuple[int, float]], bound: float
) -> None:
    """The bound holds, and no allowed threshold has more true positives."""
    y, p = split(pairs)
    negatives = np.sort(p[y == 0, 1])
    if len(negatives) < negatives_needed(bound):
        with pytest.raises(DataError, match="Add images of this class"):
            choose_threshold(y, p[:, 1], max_fpr=bound)
        return
    chosen = choose_threshold(y, p[:, 1], max_fpr=bound)
    rank = umbrella_rank(len(negatives), bound)
    assert chosen >= negatives[rank - 1]
    assert (negatives > chosen).sum() <= len(negatives) - rank
    true_positives = (p[y == 1, 1] > chosen).sum()
    assert true_positives == (p[y == 1, 1] > negatives[rank - 1]).sum()


@pytest.mark.parametrize(
    ("bound", "needed"), [(0.05, 59), (0.01, 299), (0.1, 29), (0.2, 14), (0.5, 5), (0.95, 1)]
)
def test_the_number_of_negatives_is_exact(bound: float, needed: int) -> None:
    """With one negative fewer than `negatives_needed`, there is no guarantee."""
    assert negatives_needed(bound) == needed
    assert (1 - bound) ** needed <= VIOLATION * (1 + 1e-9)
    assert (1 - bound) ** (needed - 1) > VIOLATION
    assert umbrella_rank(needed, bound) == needed
    with pytest.raises(DataError, match=f"needs {needed} images of class 'negative'"):
        umbrella_rank(needed - 1, bound)


@pytest.mark.parametrize(("n", "bound"), [(59, 0.05), (200, 0.05), (299, 0.01), (1000, 0.1)])
def test_the_rank_is_the_smallest_one(n: int, bound: float) -> None:
    """The violation probability is at most 5 % at the rank, and above 5 % one rank below."""
    rank = umbrella_rank(n, bound)

    def violation(k: int) -> float:
        return sum(comb(n, j) * (1 - bound) ** j * bound ** (n - j) for j in range(k, n + 1))

    assert violation(rank) <= VIOLATION < violation(rank - 1)


def test_the_suggested_rate_is_feasible() -> None:
    """The rate that the error suggests is feasible with the available negatives."""
    with pytest.raises(DataError, match=r"fold 1 has 20.*--max-fpr 0.14 or more"):
        check_negatives(0.05, 20, "real", "fold 1")
    assert negatives_needed(0.14) <= 20


@pytest.mark.parametrize("n", [59, 200, 1000])
def test_the_bound_holds_on_fresh_draws(n: int) -> None:
    """The true false positive rate exceeds the bound in at most 8 % of 200 draws."""
    rng = np.random.default_rng(n)
    exceeded = []
    for _ in range(200):
        p = norm.cdf(np.concatenate([rng.normal(size=n), rng.normal(1.0, size=n)]))
        chosen = choose_threshold(np.repeat([0, 1], n), p, max_fpr=0.05)
        exceeded.append(1 - chosen > 0.05)  # the probabilities of negatives are uniform
    assert np.mean(exceeded) <= 0.08


@pytest.mark.parametrize("within", [3, 8])
def test_the_bound_holds_for_new_groups(within: int) -> None:
    """The bound holds for scores that correlate by 0.8 within groups. Without groups, it fails."""
    rng = np.random.default_rng(within)
    groups = np.repeat(np.arange(100), np.tile([within, 2 * within], 50))
    n = len(groups)
    exceeded = []
    for _ in range(200):
        effect = rng.normal(size=100)[groups]
        p = norm.cdf(np.sqrt(0.8) * effect + np.sqrt(0.2) * rng.normal(size=n))
        y = np.zeros(n, dtype=np.int64)
        exceeded.append([1 - choose_threshold(y, p, of, max_fpr=0.05) > 0.05
                         for of in (groups, None)])  # fmt: skip
    with_groups, without = np.mean(exceeded, axis=0)
    assert with_groups <= 0.08
    assert without > 0.1


def test_grouped_negatives_count_as_fewer() -> None:
    """Negatives in the same group count as fewer. With very few groups, groups are ignored."""
    assert effective_number(np.repeat(np.arange(70), 3)) == 70
    assert effective_number(np.array([0] * 30 + [*range(1, 31)])) == 3
    assert allowed_above(200, np.arange(200), 0.05) == 200 - umbrella_rank(200, 0.05)
    assert allowed_above(210, np.repeat(np.arange(70), 3), 0.05) == 0
    assert allowed_above(210, np.repeat(np.arange(10), 21), 0.05) == allowed_above(210, None, 0.05)


def test_too_few_groups_warn_before_the_fits() -> None:
    """The warning states the number of groups, the number needed and the class."""
    data = make_features(100, groups=True)
    with pytest.warns(
        ClipfeatWarning, match=r"59 independent groups of class 'real'.* one training set has 8"
    ):
        benchmark(data, "dummy", protocol=5, options=FitOptions(max_fpr=0.05))


@pytest.mark.parametrize("options", [{}, {"bag": 3}])
def test_the_bound_holds_for_a_fitted_model(options: dict[str, Any]) -> None:
    """The threshold is chosen out of fold, and the model is fitted on all rows."""
    fresh = make_features(4000, apart=1.5, n_features=10, seed=1000)
    negatives = fresh.take(np.flatnonzero(fresh.y == 0))
    rates = []
    for seed in range(10):
        data = make_features(100, apart=1.5, n_features=10, seed=seed)
        model = fit(
            data, "lda", cv=3, options=FitOptions(max_fpr=0.05, **options), random_state=seed,
            resources=FitResources(n_jobs=1),
        )  # fmt: skip
        assert model.threshold is not None
        rates.append((model.predict_proba(negatives)[:, 1] > model.threshold).mean())
    # At a true probability of 5 %, four or more of 10 models exceed the bound with 0.1 %.
    assert (np.array(rates) > 0.05).sum() <= 3


@pytest.mark.parametrize(
    ("clf", "options"),
    [
        ("knn", {}),
        ("logreg", {"calibrate": "sigmoid"}),
        ("knn", {"bag": 3}),
        ("knn,lda,prototype", {}),
        ("knn,lda", {"bag": 2}),
    ],
)
def test_the_bound_holds_for_classifiers_and_votes(clf: str, options: dict[str, Any]) -> None:
    """The bound holds. The table ``fpr`` of the simulations has all classifiers."""
    rates = fresh_rates(clf, FitOptions(**options), range(10))[:, 0]
    assert (rates > 0.05).sum() <= 3


def test_too_few_negatives_are_refused_before_any_fit() -> None:
    """The error states the number needed, the number present and the training set."""
    data = make_features(60)
    for run in (
        lambda options: fit(data, "logreg", cv=3, options=options),
        lambda options: benchmark(data, "logreg", protocol=3, options=options),
    ):
        with pytest.raises(DataError, match=r"needs 59 images of class 'real'.* fold 0 has 40"):
            run(FitOptions(max_fpr=0.05))


def test_one_half_predicts_the_most_probable_class() -> None:
    """A threshold of 0.5 predicts the same as no threshold, even for equal probabilities."""
    p = np.array([[0.5, 0.5], [0.4, 0.6], [0.6, 0.4]])
    assert decide(p, 0.5).tolist() == decide(p).tolist() == [0, 1, 0]


def test_scores_at_a_threshold_are_labelled() -> None:
    """Accuracy is shown at the threshold and at 0.5. ROC AUC does not change."""
    y, p = split([(0, 0.1), (0, 0.6), (1, 0.7), (1, 0.8)])
    plain, at = score(y, p), score(y, p, 0.65)
    assert (at["accuracy"], at["accuracy_at_0.5"], plain["accuracy"]) == (1.0, 0.75, 0.75)
    assert (at["true_positive_rate"], at["false_positive_rate"]) == (1.0, 0.0)
    assert at["roc_auc"] == plain["roc_auc"]


def test_a_threshold_needs_two_classes() -> None:
    """With three classes, choosing a threshold is an error that lists them."""
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
    """With one positive in nine, the chosen threshold beats 0.5 on test rows."""
    data = make_features(180, apart=1.5)
    data = data.take(np.flatnonzero((data.y == 0) | (np.arange(360) % 9 == 0)))
    table = benchmark(
        data, "logreg", protocol=4, options=FitOptions(threshold="balanced_accuracy")
    ).to_pandas()
    mean = table.groupby("metric").value.mean()
    assert mean["balanced_accuracy"] > mean["balanced_accuracy_at_0.5"] + 0.05
    bounded = benchmark(data, "logreg", protocol=4, options=FitOptions(max_fpr=0.1)).to_pandas()
    rate = bounded.groupby("metric").value.mean()["false_positive_rate"]
    assert 0.01 < rate < 0.1
