"""Tests of out-of-core fits and of when they are chosen."""

from pathlib import Path

import numpy as np
import pytest

from clipfeat.errors import UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.fits import out_of_core
from clipfeat.fits.out_of_core import pick_out_of_core
from clipfeat.store import load
from clipfeat.store.streaming import bytes_in_memory, stream
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features, write_parts


@pytest.mark.filterwarnings("ignore:the false positive rate")
@pytest.mark.parametrize("vote", ["uniform", "stacking"])
def test_scores_are_those_of_folds_in_memory(vote: str, tmp_path: Path) -> None:
    """Scores, thresholds and votes equal those of a fit in memory."""
    path = write_parts(tmp_path / "out.h5", make_features(60, apart=1.0, groups=True))
    options = FitOptions(max_fpr=0.2)
    known = fit(load(path), "logreg,lgbm", cv=3, options=options, vote=vote)
    with stream(path) as streamed:
        model = fit(streamed, "logreg,lgbm", cv=3, options=options, vote=vote)
    assert model.threshold == pytest.approx(known.threshold, abs=1e-3)
    for ours, theirs in zip(model.scores, known.scores, strict=True):
        names = ("encoder", "classifier", "fold", "metric")
        assert [ours[name] for name in names] == [theirs[name] for name in names]
        if not ours["metric"].endswith(("_seconds", "_bytes")):
            assert np.isclose(ours["value"], theirs["value"], atol=1e-3, equal_nan=True)
        if ours["metric"] == "model_bytes":
            assert ours["value"] == pytest.approx(theirs["value"], rel=0.05)


def test_memory_decides_without_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that need over half of the memory are read in blocks, or refused if that fails."""
    paths = [write_parts(tmp_path / name, make_features()) for name in ("one.h5", "two.h5")]
    size = bytes_in_memory(paths[0])

    def picked(free: float, clf: str = "logreg", requested: bool | None = None) -> tuple[bool, str]:
        monkeypatch.setattr(out_of_core, "available_memory", lambda: int(free))
        return pick_out_of_core(paths[:1], clf, tune=False, requested=requested)

    assert picked(2 * size) == (False, "")
    streamed, reason = picked(2 * size - 1)
    assert streamed
    assert "read in blocks" in reason
    assert picked(1, requested=False) == (False, "")
    assert picked(2**40, requested=True) == (True, "")
    streamed, reason = picked(1.5 * size, "logreg,knn")
    assert not streamed
    assert "knn cannot" in reason
    with pytest.raises(UsageError, match=r"free\), and knn cannot"):
        picked(size - 1, "knn")
    with pytest.raises(UsageError, match="knn cannot"):
        picked(2**40, "knn", requested=True)
    with pytest.raises(UsageError, match="one feature file, got 2"):
        pick_out_of_core(paths, "logreg", tune=False, requested=True)
