"""Tests that audits do not depend on the order or the names of the files."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.auditing import pixels
from clipfeat.auditing.mislabelled import check_labels
from clipfeat.auditing.shortcuts import PROPERTIES, check_property
from clipfeat.auditing.subject import Subject
from clipfeat.features import near_duplicates as near
from tests.conftest import make_features

N = 60


def audited(order: np.ndarray, *, grouped: bool, renamed: bool = False) -> list[object]:
    """Return the numbers of a property and of the label check for files in a given order."""
    features = make_features(N, apart=0.7, seed=4, groups=grouped)
    keys = np.array([f"{i:032x}" for i in np.random.default_rng(1).permutation(2 * N)], dtype="S32")
    width = np.random.default_rng(2).normal(size=2 * N) + 3.0 * features.y
    if renamed:
        features = replace(features, paths=features.paths[::-1].copy())
    features = replace(features, keys=keys).take(order)
    subject = Subject(features, {"width": width[order]})
    width = next(one for one in PROPERTIES if one.name == "width")
    (shortcut,), (labels,) = check_property(width, subject), check_labels(subject)
    return [shortcut.numbers, sorted((row["suggested"], row["p_label"]) for row in labels.rows)]


@pytest.mark.parametrize("grouped", [False, True])
def test_scores_of_checks_do_not_depend_on_the_order_of_files(grouped: bool) -> None:
    """Folds are assigned by content hash, so shuffled or renamed files give the same numbers."""
    known = audited(np.arange(2 * N), grouped=grouped)
    shuffled = np.random.default_rng(3).permutation(2 * N)
    for numbers in (
        audited(shuffled, grouped=grouped),
        audited(np.arange(2 * N), grouped=grouped, renamed=True),
    ):
        assert numbers[0] == pytest.approx(known[0])
        for one, other in zip(numbers[1], known[1], strict=True):  # type: ignore[call-overload]
            assert one[0] == other[0] and one[1] == pytest.approx(other[1], abs=1e-5)


def test_samples_do_not_depend_on_the_order_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order, the same images are decoded, and the same near duplicates are found."""
    monkeypatch.setattr(pixels, "MAX_IMAGES", 20)
    monkeypatch.setattr(near, "N_SAMPLED", 30)
    features = make_features(100, apart=0.0, n_features=32)
    features = replace(features, specs=())
    features.X[1::2] = features.X[::2] + np.float32(0.01)
    shuffled = features.take(np.random.default_rng(3).permutation(len(features)))
    rows = np.arange(len(features))
    results = []
    for one in (features, shuffled):
        sample = pixels._sample(rows, one.y, one.keys)
        pairs = near.near_duplicates(one, max_queries=50)
        assert len(pairs) >= 50
        assert (np.lexsort(pairs.T[::-1]) == np.arange(len(pairs))).all()
        results.append((set(one.keys[sample]), {tuple(one.keys[pair]) for pair in pairs}))
    assert results[0] == results[1]
    assert len(results[0][0]) == 20
