"""Tests that nothing is chosen on test rows, and that scores equal independent ones."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.evaluate import FewShot, KFold, LeaveOneOut, Matrix, Protocol, TrainTest, benchmark
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.tidy_rows import POOLED
from clipfeat.features import FeatureSet
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features
from tests.evaluate.test_protocols import generators

SETTINGS = {
    "plain": {},
    "calibrated": {"options": FitOptions(calibrate="isotonic")},
    "bagged": {"options": FitOptions(bag=3)},
    "balanced": {"options": FitOptions(balance="sampling")},
    "balanced by prior": {"options": FitOptions(balance="prior")},
    "threshold": {"options": FitOptions(threshold="balanced_accuracy")},
    "bound": {"options": FitOptions(max_fpr=0.1)},
    "votes": {"vote": "all"},
    "tuned": {"options": FitOptions(tune=True)},
    "tuned, threshold": {"options": FitOptions(tune=True, threshold="accuracy")},
}
"""Options that choose something, and could leak test labels."""


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_inverted_test_labels_change_no_prediction(settings: dict[str, object]) -> None:
    """Probabilities, thresholds and weights do not depend on the test labels."""
    train, test = make_features(45, apart=1.0), make_features(15, seed=1, apart=1.0)
    test = replace(test, keys=np.array([f"{i + 500:032x}".encode() for i in range(30)]))
    turned = replace(test, y=1 - test.y)
    honest, planted = (
        benchmark(train, "logreg,knn", protocol=TrainTest(t), **settings)  # type: ignore[arg-type]
        for t in (test, turned)
    )
    assert set(honest.probabilities) == set(planted.probabilities)
    for entry, p in honest.probabilities.items():
        assert np.array_equal(p, planted.probabilities[entry], equal_nan=True), entry
    assert honest.thresholds == planted.thresholds
    assert honest.about["votes"] == planted.about["votes"]
    tuned = [
        {
            e: {f: tuning["params"] for f, tuning in of.items()}
            for e, of in run.about["tuned"].items()
        }
        for run in (honest, planted)
    ]
    assert tuned[0] == tuned[1]


@pytest.mark.parametrize("protocol", [LeaveOneOut("generator"), Matrix("generator", 3)], ids=str)
def test_a_held_out_generator_does_not_affect_choices(protocol: Protocol) -> None:
    """Changing the features of a generator changes nothing in trials that do not train on it.

    Votes and thresholds learn from probabilities of the training rows. If these came from models of
    other folds, the held-out generator would be among the training rows of those models.
    """
    data = generators(90)
    spoilt = data.column("generator") == "b"
    X = data.X.copy()
    X[spoilt] = np.random.default_rng(0).permutation(X[spoilt]) * -3
    runs = [
        benchmark(
            d, "logreg,knn", vote="all", options=FitOptions(threshold="accuracy"), protocol=protocol
        )
        for d in (data, replace(data, X=X))
    ]
    if isinstance(protocol, Matrix):
        plain, other = (next(o for o in run.outcomes if o.trial.trained_on == "a") for run in runs)
        assert plain.thresholds == other.thresholds
        seen = ~spoilt
    else:
        plain, other = (run.outcomes[0] for run in runs)
        held_out = list(plain.trial.splits).index("b")
        assert {e: t[held_out] for e, t in plain.thresholds.items()} == {
            e: t[held_out] for e, t in other.thresholds.items()
        }
        for title, weights in runs[0].about["votes"].items():
            for entry, of_folds in weights.items():
                assert of_folds[held_out] == runs[1].about["votes"][title][entry][held_out]
        seen = (plain.fold == held_out) & ~spoilt
    for entry, p in plain.probabilities.items():
        assert np.array_equal(p[seen], other.probabilities[entry][seen], equal_nan=True), entry


def planted(where: str) -> tuple[FeatureSet, FeatureSet, Protocol]:
    """Return features with a leak, and the same features without the safeguard against it."""
    rng = np.random.default_rng(0)
    data = make_features(100, apart=0.0, n_features=12)
    data = replace(data, y=rng.permutation(data.y))
    if where == "subject":
        subject = np.arange(200) % 10
        marks = np.eye(10, 12)[subject] * (2 * data.y[:, None] - 1)
        data = replace(data, X=data.X + 6 * marks.astype(np.float32),
                       columns={"subject": subject.astype(str)})  # fmt: skip
        return data, data, LeaveOneOut("subject")
    of = np.arange(200) % 50
    leaky = replace(data, X=data.X[of], y=data.y[of])
    names = np.array([f"{i:032x}" for i in of])
    safe = {
        "copies": {"keys": names.astype("S32")},
        "files": {"columns": {"file": names}, "groups": names},
        "groups": {"groups": names},
    }[where]
    return replace(leaky, **safe), leaky, KFold()  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["copies", "files", "groups", "subject"])
def test_a_planted_leak_is_not_found(where: str) -> None:
    """Copies, frames, groups and subjects leak labels only without the safeguard."""
    safe, leaky, protocol = planted(where)
    tables = [
        benchmark(data, "knn,svm", protocol=how).to_pandas().query("metric == 'roc_auc'")
        for data, how in ((safe, protocol), (leaky, KFold()))
    ]
    honest, cheated = (table.groupby("classifier").value.mean() for table in tables)
    assert (honest < 0.65).all(), honest
    assert (cheated > 0.8).all(), cheated


def independent(y: list[int], positive: list[float]) -> dict[str, float]:
    """Compute the metrics of detection papers from their definitions, without clipfeat."""
    real = [p for p, label in zip(positive, y, strict=True) if label == 0]
    fake = [p for p, label in zip(positive, y, strict=True) if label == 1]
    wins = sum((f > r) + 0.5 * (f == r) for f in fake for r in real)
    ordered = sorted(set(positive), reverse=True)
    ap = recall_before = 0.0
    at_5 = at_1 = 0.0
    best = 0.0
    for cut in [*ordered, -1.0]:
        hits, false = sum(f >= cut for f in fake), sum(r >= cut for r in real)
        recall = hits / len(fake)
        if cut >= 0:
            ap += (recall - recall_before) * hits / (hits + false)
            recall_before = recall
        at_5 = max(at_5, recall) if false <= 0.05 * len(real) else at_5
        at_1 = max(at_1, recall) if false <= 0.01 * len(real) else at_1
        best = max(best, (recall + 1 - false / len(real)) / 2)
    right = {0: sum(r <= 0.5 for r in real) / len(real), 1: sum(f > 0.5 for f in fake) / len(fake)}
    return {
        "recall/real": right[0], "recall/fake": right[1],
        "accuracy": (right[0] * len(real) + right[1] * len(fake)) / len(y),
        "balanced_accuracy": (right[0] + right[1]) / 2,
        "balanced_accuracy_at_oracle": max(best, 0.5),
        "roc_auc": wins / len(real) / len(fake), "average_precision": ap,
        "tpr_at_fpr_5": at_5 if len(real) >= 20 else float("nan"),
        "tpr_at_fpr_1": at_1 if len(real) >= 100 else float("nan"),
        "brier": sum((p - label) ** 2 for p, label in zip(positive, y, strict=True)) / len(y),
    }  # fmt: skip


@pytest.mark.parametrize(
    "protocol",
    [KFold(3), LeaveOneOut("generator"), Matrix("generator", 3), FewShot([5], repeats=2)],
    ids=str,
)
def test_scores_equal_independent_ones(protocol: Protocol) -> None:
    """Every score can be recomputed from the labels, the probabilities and the test rows."""
    data = generators()
    run = benchmark(data, "logreg", protocol=protocol)
    rows = {
        (r["seed"], r["trained_on"], r["n_train"], r["fold"], r["tested_on"], r["metric"]): r[
            "value"
        ]
        for r in run.rows
    }
    made = data.column("generator")
    compared = 0
    for outcome in run.outcomes:
        trial = outcome.trial
        tests = {fold: test for fold, (_, test) in trial.splits.items()}
        if len(tests) > 1:
            tests[POOLED] = np.concatenate(list(tests.values()))
        for fold, test in tests.items():
            for piece in trial.tested_on or [""]:
                here = [i for i in test if not piece or made[i] in (piece, "photo")]
                p = outcome.probabilities["logreg"][here, 1].tolist()
                for metric, value in independent(data.y[here].tolist(), p).items():
                    key = trial.seed, trial.trained_on, trial.n_train, fold, piece, metric
                    is_pooled = metric in METRICS and METRICS[metric].pooled
                    assert key in rows or is_pooled != (fold == POOLED), key
                    if key in rows:
                        assert rows[key] == pytest.approx(value, nan_ok=True), key
                        compared += 1
    assert compared >= 20
