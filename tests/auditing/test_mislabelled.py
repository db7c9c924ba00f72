"""Tests of the label check."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.auditing.checking import audit
from tests.conftest import make_features


def test_wrong_labels_are_listed_first() -> None:
    """If 5 of 300 images have a wrong label, they are the first candidates."""
    features = make_features(100, ("cat", "dog", "eel"), n_features=32, apart=0.0)
    X = features.X + 4 * np.eye(32, dtype=np.float32)[features.y]
    y = features.y.copy()
    wrong = [3, 50, 120, 180, 250]
    y[wrong] = (y[wrong] + 1) % 3
    run = audit(replace(features, X=X, y=y))
    (finding,) = [f for f in run.findings if f.check == "possible label errors"]
    assert {row["path"] for row in finding.rows[:5]} == set(features.paths[wrong].tolist())
    truth = dict(zip(features.paths.tolist(), features.labels.tolist(), strict=True))
    assert all(row["suggested"] == truth[str(row["path"])] for row in finding.rows[:5])
    assert len(finding.rows) < 15


def test_clean_labels_pass() -> None:
    """Well-separated classes with correct labels give no candidates."""
    run = audit(make_features(100, apart=30.0))
    assert "possible label errors" in run.passed


def test_given_probabilities_replace_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities are matched by path, and rows without probabilities are ignored."""
    features = make_features(30, apart=30.0)
    p = np.eye(2)[features.y] * 0.8 + 0.1
    p[7] = p[7, ::-1]
    p[8] = np.nan
    monkeypatch.delattr("clipfeat.auditing.mislabelled.make_classifier")
    order = np.random.default_rng(0).permutation(60)
    probabilities = dict(zip(features.paths[order].tolist(), p[order], strict=True))
    run = audit(features, judge="svm", probabilities=probabilities)
    (finding,) = [f for f in run.findings if f.check == "possible label errors"]
    assert [row["path"] for row in finding.rows] == [features.paths[7]]
    assert finding.sentence.startswith("1 of 59 files may be mislabelled according to svm")
