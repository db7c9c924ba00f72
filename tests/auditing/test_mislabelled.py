"""Mislabelled candidates."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.auditing.checking import audit
from tests.conftest import make_features


def test_wrong_labels_come_first() -> None:
    """Of three hundred images five have another class's label: they head the list."""
    features = make_features(100, ("cat", "dog", "eel"), n_features=32, apart=0.0)
    X = features.X + 4 * np.eye(32, dtype=np.float32)[features.y]
    y = features.y.copy()
    wrong = [3, 50, 120, 180, 250]
    y[wrong] = (y[wrong] + 1) % 3
    run = audit(replace(features, X=X, y=y))
    (found,) = [f for f in run.findings if f.check == "mislabelled candidates"]
    assert {row["path"] for row in found.rows[:5]} == set(features.paths[wrong].tolist())
    truth = dict(zip(features.paths.tolist(), features.labels.tolist(), strict=True))
    assert all(row["suggested"] == truth[str(row["path"])] for row in found.rows[:5])
    assert len(found.rows) < 15


def test_clean_labels_pass() -> None:
    """Classes far apart, labelled right: no candidate."""
    run = audit(make_features(100, apart=30.0))
    assert "mislabelled candidates" in run.passed


def test_what_was_said_elsewhere_is_not_fitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities of a run are taken by path; rows without any are left out."""
    features = make_features(30, apart=30.0)
    p = np.eye(2)[features.y] * 0.8 + 0.1
    p[7] = p[7, ::-1]
    p[8] = np.nan
    monkeypatch.delattr("clipfeat.auditing.mislabelled.make_classifier")
    order = np.random.default_rng(0).permutation(60)
    probabilities = dict(zip(features.paths[order].tolist(), p[order], strict=True))
    run = audit(features, judge="svm", probabilities=probabilities)
    (found,) = [f for f in run.findings if f.check == "mislabelled candidates"]
    assert [row["path"] for row in found.rows] == [features.paths[7]]
    assert found.sentence.startswith(
        "1 of 59 files look like another class than their label to svm"
    )
