"""Duplicates, by digest and by features, and what they cross."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.auditing.checking import audit
from clipfeat.auditing.duplicates import EXACT, NEAR
from clipfeat.auditing.finding import Finding
from clipfeat.features import FeatureSet
from tests.conftest import make_features


def trained(features: FeatureSet) -> FeatureSet:
    """As if an encoder with weights had made them."""
    return replace(features, specs=(replace(features.specs[0], weights="0" * 32),))


def with_copies(copies: dict[int, int], *, exact: bool, **columns: object) -> FeatureSet:
    """A hundred images of each class, some of which are copies of others."""
    found = trained(make_features(100, n_features=32))
    X, keys = found.X.copy(), found.keys.copy()
    for copy, original in copies.items():
        X[copy] = X[original] + (0 if exact else 0.05)
        keys[copy] = keys[original] if exact else keys[copy]
    return replace(found, X=X, keys=keys, **columns)


def found_of(features: FeatureSet, check: str) -> dict[str, Finding]:
    return {f.severity: f for f in audit(features).findings if f.check == check}


SPLIT = np.where(np.arange(200) % 2 == 0, "train", "test")


@pytest.mark.parametrize(("check", "exact"), [(EXACT, True), (NEAR, False)])
def test_what_a_copy_crosses_is_what_it_is(check: str, exact: bool) -> None:
    """Across splits, across labels, or neither: worse where bytes are equal; with the files."""
    copies = {1: 0, 104: 4, 8: 6}  # another split, another label, neither
    features = with_copies(copies, exact=exact, columns={"split": SPLIT})
    found = [f for f in audit(features).findings if f.check == check]
    paths = features.paths.tolist()
    assert [f.severity for f in found] == (
        ["leak", "warning", "note"] if exact else ["warning"] * 3
    )
    assert [[row["path"] for row in f.rows] for f in found] == [
        [paths[0], paths[1]], [paths[4], paths[104]], [paths[6], paths[8]]
    ]  # fmt: skip
    assert "in several splits" in found[0].sentence
    assert "with two labels" in found[1].sentence


def test_chains_are_one_cluster() -> None:
    """Three copies of one image are one cluster of three."""
    (found,) = found_of(with_copies({10: 0, 20: 0}, exact=True), EXACT).values()
    assert found.numbers == {"files": 3.0, "clusters": 1.0}


def test_unlike_images_are_no_duplicates() -> None:
    """Neither of ordinary features, nor of constant ones, is anything made."""
    features = trained(make_features(100, n_features=32))
    assert not found_of(features, NEAR)
    constant = replace(features, X=np.ones_like(features.X))
    assert not found_of(constant, NEAR)


def test_parts_of_one_file_are_no_duplicates() -> None:
    """Views and faces of an image are alike by nature: only its first row counts."""
    copies = {i: i - 1 for i in range(1, 200, 2)}
    files = np.array([f"{i // 2}.png" for i in range(200)])
    features = with_copies(copies, exact=False, columns={"file": files})
    run = audit(features)
    assert run.n_files == 100
    assert not [f for f in run.findings if f.check in {EXACT, NEAR}]


def test_near_ones_of_a_group_are_known() -> None:
    """Frames of one scene are alike, and are kept together already."""
    groups = np.array([f"g{i // 2}" for i in range(200)])
    features = with_copies({1: 0, 7: 6}, exact=False, groups=groups)
    assert not found_of(features, NEAR)


def test_the_spectrum_does_not_count() -> None:
    """Features that do not know what is shown tell no copies; beside others they are left out."""
    spectrum = make_features(100, n_features=32)
    assert "encoder with weights" in audit(spectrum).skipped[NEAR]
    X = np.hstack([make_features(100, n_features=32, seed=1).X, np.ones((200, 32), np.float32)])
    specs = (replace(spectrum.specs[0], weights="0" * 32), spectrum.specs[0])
    both = replace(spectrum, X=X, specs=specs)
    assert not found_of(both, NEAR)
    assert NEAR not in audit(both).skipped
