"""Finished cells are not fitted again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfeat.evaluate import benchmark
from clipfeat.features import FeatureSet
from clipfeat.fits.cache import read_cell, write_cell
from clipfeat.fits.cells import Cell, CellSpec, run_cell
from clipfeat.zoo.spaces import Tuned


def test_a_cell_comes_back_as_it_was(tmp_path: Path) -> None:
    """Probabilities to the bit, costs, and what was tuned; nothing and damage are no cell."""
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
    """The names of what is fitted from now on."""
    fitted: list[str] = []

    def counting(spec: CellSpec, *args: object, **kwargs: object) -> Cell:
        fitted.append(spec.name)
        if len(fitted) == 4:
            raise KeyboardInterrupt
        return run_cell(spec, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("clipfeat.fits.running.run_cell", counting)
    return fitted


def test_an_interrupted_run_goes_on_and_ends_as_any(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C in the fourth cell of six three are left to fit; the end is the same."""
    whole = benchmark(features, "logreg,knn", cv=3)
    fitted = count_fits(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        benchmark(features, "logreg,knn", cv=3, keep=tmp_path)
    again = benchmark(features, "logreg,knn", cv=3, keep=tmp_path)
    assert len(fitted) == 4 + 3
    for entry, p in whole.probabilities.items():
        assert np.array_equal(p, again.probabilities[entry])
    benchmark(features, "logreg,knn", cv=3, keep=tmp_path)
    assert len(fitted) == 7


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ("labels", {}), ("features", {}), ("groups", {}), ("", {"seed": 1}), ("", {"cv": 4}),
        ("", {"calibrate": "sigmoid"}), ("", {"balance": "weights"}),
        ("", {"threshold": "accuracy"}),
    ],
)  # fmt: skip
def test_nothing_stale_is_taken(
    features: FeatureSet, tmp_path: Path, changed: str, asked: dict[str, object]
) -> None:
    """Other data or another question gives what it would give without any kept cell."""
    benchmark(features, "logreg", cv=3, keep=tmp_path)
    other = {
        "": features,
        "labels": replace(features, y=np.roll(features.y, 3)),
        "features": replace(features, X=features.X + np.float32(0.1) * features.X[::-1]),
        "groups": replace(features, groups=np.array([f"g{i % 8}" for i in range(40)])),
    }[changed]
    asked = {"cv": 3} | asked
    kept = benchmark(other, "logreg", keep=tmp_path, **asked)  # type: ignore[arg-type]
    plain = benchmark(other, "logreg", **asked)  # type: ignore[arg-type]
    assert np.array_equal(
        kept.probabilities["logreg"], plain.probabilities["logreg"], equal_nan=True
    )
    assert kept.thresholds == plain.thresholds
