"""Tests of the cache of finished cells."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfeat.evaluate import benchmark
from clipfeat.features import FeatureSet
from clipfeat.fits.cache import CellCache, read_cell, write_cell
from clipfeat.fits.cells import Cell, CellSpec, run_cell
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.spaces import Tuned


def test_a_cell_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A cell is read back unchanged. Damaged files are ignored."""
    p = np.random.default_rng(0).random((5, 2))
    cell = Cell(p, p[::-1], {"fit_seconds": 0.25}, Tuned({"C": 2.0}, 3, True))
    write_cell(cell, tmp_path, "key")
    again = read_cell(tmp_path, "key")
    assert again is not None
    assert again.train is not None
    assert np.array_equal(again.test, p)
    assert np.array_equal(again.train, p[::-1])
    assert (again.costs, again.tuned) == (cell.costs, cell.tuned)
    assert read_cell(tmp_path, "other") is None
    whole = (tmp_path / "key.npz").read_bytes()
    for damaged in (b"", whole[:-30], whole[:80] + b"?" * 20 + whole[100:]):
        (tmp_path / "key.npz").write_bytes(damaged)
        assert read_cell(tmp_path, "key") is None


def count_fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of all fitted cells, and interrupt the fourth fit."""
    fitted: list[str] = []

    def counting(spec: CellSpec, *args: object, **kwargs: object) -> Cell:
        fitted.append(spec.name)
        if len(fitted) == 4:
            raise KeyboardInterrupt
        return run_cell(spec, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("clipfeat.fits.running.run_cell", counting)
    return fitted


def test_an_interrupted_run_resumes(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C in the fourth of six cells, three cells are fitted. Results are equal."""
    whole = benchmark(features, "logreg,knn", protocol=3)
    fitted = count_fits(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        benchmark(features, "logreg,knn", protocol=3, cache=tmp_path)
    again = benchmark(features, "logreg,knn", protocol=3, cache=tmp_path)
    assert len(fitted) == 4 + 3
    for entry, p in whole.probabilities.items():
        assert np.array_equal(p, again.probabilities[entry])
    benchmark(features, "logreg,knn", protocol=3, cache=tmp_path)
    assert len(fitted) == 7


@pytest.mark.parametrize(
    ("changed", "settings"),
    [
        ("labels", {}), ("features", {}), ("groups", {}), ("", {"random_state": 1}),
        ("", {"protocol": 4}),
        ("", {"options": FitOptions(calibrate="sigmoid")}),
        ("", {"options": FitOptions(balance="weights")}),
        ("", {"options": FitOptions(threshold="accuracy")}),
    ],
)  # fmt: skip
def test_no_stale_cell_is_used(
    features: FeatureSet, tmp_path: Path, changed: str, settings: dict[str, object]
) -> None:
    """With changed data or options, results equal those without a cache."""
    benchmark(features, "logreg", protocol=3, cache=tmp_path)
    other = {
        "": features,
        "labels": replace(features, y=np.roll(features.y, 3)),
        "features": replace(features, X=features.X + np.float32(0.1) * features.X[::-1]),
        "groups": replace(features, groups=np.array([f"g{i % 8}" for i in range(40)])),
    }[changed]
    settings = {"protocol": 3} | settings
    kept = benchmark(other, "logreg", cache=tmp_path, **settings)  # type: ignore[arg-type]
    plain = benchmark(other, "logreg", **settings)  # type: ignore[arg-type]
    assert np.array_equal(
        kept.probabilities["logreg"], plain.probabilities["logreg"], equal_nan=True
    )
    assert kept.thresholds == plain.thresholds


@pytest.mark.parametrize("tune", [False, True])
def test_another_time_limit_repeats_only_parameter_searches(tmp_path: Path, tune: bool) -> None:
    """A new time limit repeats parameter searches, but no other fit."""
    rows = np.arange(4)
    spec = CellSpec(0, "", "knn", "knn", slice(None), (rows, rows), 0, 1, False)
    short = CellCache(tmp_path, "data", FitOptions(tune=tune), False, 60.0)
    short.write(Cell(np.eye(2), None, {}, None), spec)
    for limit in (600.0, None):
        assert (replace(short, time_limit=limit).read(spec) is None) == tune
