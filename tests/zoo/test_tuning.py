"""Tests of the parameter search."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clipfeat.errors import UsageError
from clipfeat.features import FeatureSet
from clipfeat.fits.fit_resources import FitResources
from clipfeat.zoo import CHANCE, classifiers, halving, make_classifier, tuning, warm_path
from clipfeat.zoo.building import build, count_fits
from clipfeat.zoo.candidates import CandidateScore, score_candidate
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.spaces import Range, Tuned, WarmPath, full_names
from clipfeat.zoo.tuning import tune
from tests.conftest import make_features


@pytest.mark.parametrize("name", [name for name, row in classifiers().items() if row.space])
def test_every_space_fits_its_classifier(name: str) -> None:
    """Each parameter exists and accepts both ends of its range."""
    space = classifiers()[name].space
    assert space is not None
    ends = (
        [{space.parameter: space.low}, {space.parameter: space.high}]
        if isinstance(space, WarmPath)
        else [{p: int(e) if one.whole else e for p, one in space.items()
               for e in [getattr(one, end)]} for end in ("low", "high")]
    )  # fmt: skip
    data = make_features(15)
    for params in ends:
        model = build(name, params=params, n_jobs=1)
        assert full_names(model, params)
        assert np.isfinite(model.fit(data.X, data.y).predict_proba(data.X)).all()


@pytest.mark.parametrize("name", ["logreg", "knn", "svm", CHANCE])
def test_a_seed_decides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal rows and seeds give equal parameters. The dummy classifier has none."""
    monkeypatch.setattr(tuning, "N_CANDIDATES", 8)
    data = make_features(60, apart=1.0, groups=True)
    first, second = (tune(name, data.X, data.y, data.groups, n_jobs=1) for _ in range(2))
    assert first == second
    assert not first.out_of_time
    assert (first.tried > 0) == (name != CHANCE)


def test_a_search_lowers_the_loss() -> None:
    """With more features than rows, the search finds a strong penalty."""
    data = make_features(120, apart=1.0, n_features=150)
    tuned = tune("logreg", data.X, data.y, None)
    assert 1e-6 <= tuned.params["C"] < 4.0
    fresh = make_features(400, apart=1.0, n_features=150, seed=1)

    def loss(**params: float) -> float:
        model = build("logreg", params=params).fit(data.X, data.y)
        return float(-np.log(model.predict_proba(fresh.X)[np.arange(800), fresh.y]).mean())

    assert loss(**tuned.params) < loss() - 0.02


def test_warm_and_cold_fits_agree() -> None:
    """Warm starts give the same losses as cold starts."""
    data = make_features(50, apart=1.0, n_features=20)
    folds = tuning.inner_folds(data.y, None, 3, 0)
    pipeline = make_classifier("logreg")
    prepared = [warm_path._prepare(pipeline, data.X, data.y, *fold) for fold in folds]
    from sklearn.base import clone

    warm = [clone(pipeline[-1]).set_params(warm_start=True) for _ in folds]
    for C in (1e-3, 1.0, 1e3):
        cold = [clone(pipeline[-1]) for _ in folds]
        assert warm_path._score(warm, prepared, "C", C).loss == pytest.approx(
            warm_path._score(cold, prepared, "C", C).loss, abs=2e-3
        )


def unequal() -> FeatureSet:
    """Return well separated features with 500 rows of one class and 63 of the other."""
    data = make_features(500, apart=6.0, n_features=128)
    return data.take(np.flatnonzero((data.y == 0) | (np.arange(1000) % 8 == 0)))


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.1, 0.3, None])
def test_a_short_search_keeps_the_default(limit: float | None) -> None:
    """No time limit gives a model that is worse than the default."""
    data, fresh = unequal(), make_features(500, apart=6.0, n_features=128, seed=1)
    tuned = tune("logreg", data.X, data.y, None, seconds=limit, n_jobs=1)
    default, best = (
        build("logreg", params=params, n_jobs=1).fit(data.X, data.y).predict(fresh.X)
        for params in ({}, tuned.params)
    )
    assert (best == fresh.y).mean() >= (default == fresh.y).mean() - 0.01


def test_a_search_starts_at_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default value is the first candidate. Stronger penalties follow."""
    values: list[float] = []
    original = warm_path._score

    def spy(models: Any, prepared: Any, name: str, value: float, *rest: Any) -> CandidateScore:
        values.append(value)
        return original(models, prepared, name, value, *rest)

    monkeypatch.setattr(warm_path, "_score", spy)
    data = make_features(30)
    tune("logreg", data.X, data.y, None)
    assert values[:3] == pytest.approx([4.0, 1.0, 0.1])


def test_an_unconverged_candidate_is_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one iteration per value, no candidate converges and the default is kept."""
    pipeline = make_classifier("logreg")
    pipeline[-1].set_params(max_iter=1)
    monkeypatch.setattr(tuning, "make_classifier", lambda *_, **__: pipeline)
    data = make_features(60, apart=0.3, n_features=150)
    tuned = tune("logreg", data.X, data.y, None)
    assert tuned.params == {}
    assert tuned.tried > 1


def test_a_candidate_at_chance_level_does_not_beat_a_default() -> None:
    """A candidate that predicts only the larger class is not chosen, even with a lower loss."""
    y = np.repeat([0, 1], [80, 20])
    right = np.tile([0.9999, 0.0001], (100, 1))
    right[80:] = right[80:, ::-1]
    right[[0, 1, 2, 3, 4, 80, 81]] = [[1e-12, 1 - 1e-12]] * 5 + [[1 - 1e-12, 1e-12]] * 2
    default = score_candidate(y, right)
    at_chance = score_candidate(y, np.tile([0.8, 0.2], (100, 1)))
    nearly = score_candidate(y, np.column_stack([0.8 - 0.01 * y, 0.2 + 0.01 * y]))
    assert at_chance.loss < default.loss
    assert not at_chance.beats(default)
    assert nearly.loss < nearly.chance_loss
    assert not nearly.beats(default)
    calibrated = score_candidate(y, np.where(right > 0.5, 0.93, 0.07))
    assert calibrated.beats(default)
    assert not replace(calibrated, converged=False).beats(default)


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_noise_gives_no_candidate_at_chance_level(name: str) -> None:
    """A chosen candidate has a lower held-out loss than the class frequencies."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 40)).astype(np.float32), np.repeat([0, 1], [90, 30])
    tuned = tune(name, X, y, None, n_jobs=1)
    assert tuned == Tuned({}, tuned.tried)


@pytest.mark.parametrize("name", ["logreg", "lgbm"])
def test_groups_are_kept_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folds of a search do not divide groups."""
    seen: list[Any] = []
    original = tuning.inner_folds
    monkeypatch.setattr(tuning, "N_CANDIDATES", 2)
    monkeypatch.setattr(
        tuning, "inner_folds", lambda *a: seen.append((a[1], original(*a))) or seen[-1][1]
    )
    data = make_features(30, groups=True)
    tune(name, data.X, data.y, data.groups, n_jobs=1)
    groups, splits = seen[0]
    assert all(not set(groups[train]) & set(groups[test]) for train, test in splits)


class Slow:
    """Classifier whose fit takes 10 µs per row and round."""

    def __init__(self, rounds: int = 1) -> None:
        self.rounds = rounds

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"rounds": self.rounds}

    def set_params(self, **params: Any) -> "Slow":
        self.rounds = params.get("rounds", self.rounds)
        return self

    def fit(self, X: Any, y: Any) -> "Slow":
        time.sleep(1e-5 * len(X) * self.rounds)
        self.share = float(np.mean(y))
        return self

    def predict_proba(self, X: Any) -> Any:
        return np.tile([1 - self.share, self.share], (len(X), 1))


def test_the_time_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search and later fits meet the limit, and the best candidate is used."""
    knn = replace(classifiers()["knn"], space={"rounds": Range(1, 20, whole=True)})
    monkeypatch.setitem(classifiers(), "knn", knn)
    monkeypatch.setattr(tuning, "make_classifier", lambda *_, **__: Slow())
    data = make_features(600)
    begun = time.monotonic()
    tuned = tune("knn", data.X, data.y, None, seconds=1.0, n_fits=3)
    for _ in range(3):
        Slow().set_params(**tuned.params).fit(data.X, data.y)
    assert tuned.out_of_time
    assert tuned.tried > 1
    assert time.monotonic() - begun < 1.2


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_without_time_nothing_is_tried(name: str) -> None:
    """Without time, the default parameters are used, and the timeout is recorded."""
    data = make_features(30)
    tuned = tune(name, data.X, data.y, None, seconds=0.0)
    assert tuned == Tuned({}, 0, out_of_time=True)


def test_a_time_limit_is_positive() -> None:
    """A negative time limit is an error."""
    with pytest.raises(UsageError, match="got -1"):
        FitResources(time_limit=-1.0)


def test_fits_are_counted() -> None:
    """Calibration and bagging multiply the number of fits."""
    assert count_fits(build("knn")) == 1
    assert count_fits(build("knn", FitOptions(bag=4, balance="prior"))) == 4
    assert count_fits(build("knn", FitOptions(calibrate="sigmoid", balance="prior"))) == 6
    assert count_fits(build("knn", FitOptions(calibrate="sigmoid", bag=4))) == 4


def test_rungs_are_stratified() -> None:
    """A third of the rows has a third of each class."""
    y = np.repeat([0, 1, 2], [90, 30, 9])
    low = halving._ranks(y, 0) < 1 / 3
    assert np.bincount(y[low]).tolist() == [30, 10, 3]
