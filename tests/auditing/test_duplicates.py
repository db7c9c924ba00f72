"""Tests of the duplicate checks, across splits and labels."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.auditing.checking import audit
from clipfeat.auditing.duplicates import EXACT, NEAR
from clipfeat.auditing.finding import Finding
from clipfeat.features import FeatureSet
from tests.conftest import make_features


def trained(features: FeatureSet) -> FeatureSet:
    """Mark features as those of an encoder with weights."""
    return replace(features, specs=(replace(features.specs[0], weights="0" * 32),))


def with_copies(copies: dict[int, int], *, exact: bool, **columns: object) -> FeatureSet:
    """Make 100 images per class, some of them copies of others."""
    features = trained(make_features(100, n_features=32))
    X, keys = features.X.copy(), features.keys.copy()
    for copy, original in copies.items():
        X[copy] = X[original] + (0 if exact else 0.05)
        keys[copy] = keys[original] if exact else keys[copy]
    return replace(features, X=X, keys=keys, **columns)


def findings_of(features: FeatureSet, check: str) -> dict[str, Finding]:
    """Return the findings of a check by severity."""
    return {f.severity: f for f in audit(features).findings if f.check == check}


SPLIT = np.where(np.arange(200) % 2 == 0, "train", "test")


@pytest.mark.parametrize(("check", "exact"), [(EXACT, True), (NEAR, False)])
def test_severity_depends_on_splits_and_labels(check: str, exact: bool) -> None:
    """Identical files across splits are a leak. Similar files are at most a warning."""
    copies = {1: 0, 104: 4, 8: 6}  # across splits, across labels, neither
    features = with_copies(copies, exact=exact, columns={"split": SPLIT})
    findings = [f for f in audit(features).findings if f.check == check]
    paths = features.paths.tolist()
    assert [f.severity for f in findings] == (
        ["leak", "warning", "note"] if exact else ["warning"] * 3
    )
    assert [[row["path"] for row in f.rows] for f in findings] == [
        [paths[0], paths[1]], [paths[4], paths[104]], [paths[6], paths[8]]
    ]  # fmt: skip
    assert "in several splits" in findings[0].sentence
    assert "with different labels" in findings[1].sentence


def test_chains_are_one_cluster() -> None:
    """Three copies of one image are one cluster of three."""
    (finding,) = findings_of(with_copies({10: 0, 20: 0}, exact=True), EXACT).values()
    assert finding.numbers == {"files": 3.0, "clusters": 1.0}


def test_different_images_are_no_duplicates() -> None:
    """Random features and constant features give no finding."""
    features = trained(make_features(100, n_features=32))
    assert not findings_of(features, NEAR)
    constant = replace(features, X=np.ones_like(features.X))
    assert not findings_of(constant, NEAR)


def test_parts_of_one_file_are_no_duplicates() -> None:
    """Similar views or faces of one image are not duplicates."""
    copies = {i: i - 1 for i in range(1, 200, 2)}
    files = np.array([f"{i // 2}.png" for i in range(200)])
    features = with_copies(copies, exact=False, columns={"file": files})
    run = audit(features)
    assert run.n_files == 100
    assert not [f for f in run.findings if f.check in {EXACT, NEAR}]


def test_near_duplicates_within_a_group_are_ignored() -> None:
    """Near duplicates in one group are ignored, because they share a fold."""
    groups = np.array([f"g{i // 2}" for i in range(200)])
    features = with_copies({1: 0, 7: 6}, exact=False, groups=groups)
    assert not findings_of(features, NEAR)


def test_the_spectrum_is_not_used() -> None:
    """Features without image content are skipped, alone or joined with others."""
    spectrum = make_features(100, n_features=32)
    assert "encoder with trained weights" in audit(spectrum).skipped[NEAR]
    X = np.hstack([make_features(100, n_features=32, seed=1).X, np.ones((200, 32), np.float32)])
    specs = (replace(spectrum.specs[0], weights="0" * 32), spectrum.specs[0])
    both = replace(spectrum, X=X, specs=specs)
    assert not findings_of(both, NEAR)
    assert NEAR not in audit(both).skipped
