"""Tests of the benchmark."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat.errors import LabelError, StorageError
from clipfeat.evaluate import METRICS, KFold, TrainTest, benchmark
from clipfeat.evaluate.metrics import DECIDED
from clipfeat.evaluate.tidy_rows import COSTS, POOLED
from clipfeat.evaluate.votes import SOFT_VOTE
from clipfeat.features import FeatureSet, join
from clipfeat.fits import cells
from clipfeat.system.progress import Phase
from clipfeat.zoo import ClassifierRow, classifiers
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


def test_rows_are_tidy_and_the_vote_is_the_mean(features: FeatureSet) -> None:
    """Every entry has every metric on every fold, and the vote is the mean of its members."""
    run = benchmark(features, "logreg,knn,dummy", protocol=4)
    table = run.to_pandas()
    assert set(table.classifier) == {"logreg", "knn", "dummy", SOFT_VOTE}
    pooled = {name for name in METRICS if METRICS[name].pooled}
    assert set(table[table.fold == POOLED].metric) == pooled
    by_fold = table[table.fold != POOLED].groupby(["classifier", "fold"]).metric
    assert (by_fold.nunique() >= len(METRICS) - len(pooled) + 2).all()
    further = {"recall/real", "recall/fake", *(f"{name}_at_oracle" for name in DECIDED)}
    assert set(table.metric) == {*METRICS, *COSTS, *further}
    mean = (run.probabilities["logreg"] + run.probabilities["knn"]) / 2
    assert np.allclose(run.probabilities[SOFT_VOTE], mean)
    assert run.about["voters"] == ["logreg", "knn"]


def test_random_labels_score_at_chance(features: FeatureSet) -> None:
    """The ROC AUC of labels that are independent of the features is near 0.5."""
    rng = np.random.default_rng(1)
    noise = make_features(150, apart=0.0)
    run = benchmark(replace(noise, y=rng.permutation(noise.y)), "logreg,svm,rf", protocol=5)
    table = run.to_pandas()
    auc = table[table.metric == "roc_auc"].groupby("classifier").value.mean()
    assert ((auc > 0.35) & (auc < 0.65)).all()


def test_identical_images_stay_in_one_fold() -> None:
    """Copies with a random label cannot be predicted, because they share a fold."""
    rng = np.random.default_rng(0)
    base = make_features(20, apart=0.0, n_features=20)
    y = rng.integers(0, 2, 40)
    copies = np.repeat(np.arange(40), 5)
    leaky = replace(base.take(copies), y=y[copies], paths=np.arange(200).astype(str))
    known = replace(leaky, keys=np.array([f"{i:032x}".encode() for i in range(200)]))
    leak, safe = (
        benchmark(f, "knn", protocol=5).to_pandas().query("metric == 'accuracy'").value.mean()
        for f in (known, leaky)
    )
    assert leak == 1.0
    assert safe < 0.75


def test_a_failing_classifier_does_not_affect_the_others(
    features: FeatureSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing entry is recorded as an error, and the other entries have results."""
    monkeypatch.setitem(classifiers(), "broken", ClassifierRow("broken", "nowhere:make", "raises"))
    run = benchmark(features, "logreg,broken", protocol=3)
    assert list(run.errors) == ["broken"]
    assert set(run.to_pandas().classifier) == {"logreg"}


def test_encoders_are_compared_and_vote_together(features: FeatureSet) -> None:
    """Two encoders give one entry each, and a vote of both entries."""
    both = join([features, make_features(name="other", seed=5)])
    run = benchmark(both, "logreg", protocol=4)
    assert set(run.probabilities) == {
        "logreg @ spectrum 32px", "logreg @ other 32px", SOFT_VOTE,
    }  # fmt: skip


def test_unlabelled_rows_are_left_out(features: FeatureSet) -> None:
    """Unlabelled rows are counted but not used."""
    y = np.where(np.arange(40) % 4 == 0, -1, features.y)
    run = benchmark(replace(features, y=y), "logreg", protocol=3)
    assert run.about["unlabelled"] == 10
    assert len(run.y) == 30


def test_too_few_of_a_class_is_an_error() -> None:
    """A class with fewer images than folds is named in an error before any fit."""
    with pytest.raises(LabelError, match="'fake' has 3 images"):
        benchmark(make_features(3), "logreg", protocol=5)


def test_an_entry_that_failed_in_a_trial_has_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that failed in one trial is listed last, and votes in no trial."""
    plain = cells.run_cell

    def fails(spec: cells.CellSpec, *args: Any, **settings: Any) -> Any:
        if spec.name == "knn" and spec.seed == 1:
            raise ValueError("no neighbours")
        return plain(spec, *args, **settings)

    monkeypatch.setattr("clipfeat.fits.running.run_cell", fails)
    run = benchmark(make_features(apart=1.0), "logreg,lda,knn", protocol=KFold(3, repeats=2))
    assert "no neighbours" in run.errors["knn"]
    assert run.complete == ["logreg", "lda", SOFT_VOTE]
    board = run.leaderboard("accuracy")
    assert (board.entries[-1], board.rank("knn")) == ("knn", "–")
    for outcome in run.outcomes:
        mean = (outcome.probabilities["logreg"] + outcome.probabilities["lda"]) / 2
        assert np.allclose(outcome.probabilities[SOFT_VOTE], mean)


def test_an_unwritable_cache_ends_the_run(features: FeatureSet, tmp_path: Path) -> None:
    """A storage error ends the run, and is not recorded as a classifier's error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        benchmark(features, "logreg", protocol=3, cache=tmp_path / "file" / "cells")


def test_max_fpr_counts_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ten rows per file, the false positive rate is computed over files, not rows."""
    rng = np.random.default_rng(0)
    data = make_features(60, apart=1.0).take(np.repeat(np.arange(120), 10))
    noisy = data.X + rng.normal(size=data.X.shape).astype(np.float32) * 2
    data = replace(data, X=noisy, columns={"file": data.paths}, groups=data.paths,
                   paths=np.arange(1200).astype(str))  # fmt: skip
    table = benchmark(data, "logreg", protocol=3, options=FitOptions(max_fpr=0.2)).to_pandas()
    rate = table[table.metric == "false_positive_rate"].value.mean()
    assert 0.01 < rate < 0.2


def test_a_chosen_positive_class_has_its_own_cells(tmp_path: Path) -> None:
    """Runs that differ only in the positive class can share a cache, and still differ in scores."""
    features = make_features(apart=0.7)
    runs = [
        benchmark(features, "logreg", protocol=3, options=FitOptions(positive=name), cache=tmp_path)
        for name in ("fake", "real")
    ]
    assert [run.classes for run in runs] == [("real", "fake"), ("fake", "real")]
    p = [run.probabilities["logreg"] for run in runs]
    assert np.allclose(p[0], p[1][:, ::-1], atol=1e-3)
    means = [run.leaderboard().mean["logreg"] for run in runs]
    assert means[0]["roc_auc"] == pytest.approx(means[1]["roc_auc"], abs=1e-6)
    assert means[0]["average_precision"] != pytest.approx(means[1]["average_precision"], abs=1e-3)
    assert runs[1].about["positive"] == runs[1].leaderboard().positive == "real"
    test = replace(features, keys=np.char.replace(features.keys, b"0", b"f"))
    options = FitOptions(positive="real")
    stacked = benchmark(features, "dummy", protocol=TrainTest(test), options=options)
    assert stacked.classes == ("fake", "real")


def test_phases_are_reported(
    features: FeatureSet, phases_of: Callable[[Callable[..., Any]], list[str]]
) -> None:
    """Each fit is counted and named. The scores and the duplicates follow."""
    run = partial(benchmark, features, "logreg,dummy", protocol=2)
    assert phases_of(run) == ["fitting", "scoring", "searching near duplicates"]
    seen: list[Phase] = []
    run(progress=seen.append)
    fits = [(one.done, one.total, one.detail) for one in seen if one.name == "fitting"]
    assert fits[0] == (0, 4, "logreg, fold 0")
    assert fits[-1] == (4, 4, "")
