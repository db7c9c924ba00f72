"""Tests of the search for nearest rows by cosine similarity."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from clipfeat.errors import DataError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.searching.nearest import neighbours
from tests.conftest import make_features, make_spec


def test_agrees_with_scikit_learn() -> None:
    """Rows, order and similarities equal those of scikit-learn's cosine distance."""
    features = make_features(200, n_features=24, seed=3)
    queries = make_features(4, n_features=24, seed=4).X
    distances, expected = NearestNeighbors(n_neighbors=15, metric="cosine").fit(
        features.X
    ).kneighbors(queries)  # fmt: skip
    for query, distance, expected_rows in zip(queries, distances, expected, strict=True):
        rows, similarities = neighbours(features, query, 15)
        assert rows.tolist() == expected_rows.tolist()
        assert np.allclose(similarities, 1 - distance, atol=1e-6)


def test_the_order_of_the_rows_does_not_matter() -> None:
    """Images of equal similarity are sorted by path, for any order of the rows."""
    base = make_features(30)
    features = replace(base, X=np.repeat(base.X[:12], 5, axis=0))
    paths, similarities = [], []
    for seed in range(3):
        mixed = features.take(np.random.default_rng(seed).permutation(60))
        rows, cosines = neighbours(mixed, features.X[7], 8)
        paths.append(mixed.paths[rows].tolist())
        similarities.append(cosines.tolist())
    assert paths[0] == paths[1] == paths[2]
    assert similarities[0] == similarities[1] == similarities[2]
    first = features.paths[[i for i in range(60) if (features.X[i] == features.X[7]).all()]]
    assert paths[0][:5] == sorted(first.tolist())


def test_encoders_count_equally() -> None:
    """The similarity is the mean over the encoders, whatever their scales."""
    one, other = make_features(seed=1), make_features(seed=2)
    both = replace(
        one,
        X=np.hstack([one.X, 1000 * other.X]),
        specs=(*one.specs, make_spec("other", 6)),
    )
    query = np.concatenate([one.X[3], other.X[5]])
    rows, similarities = neighbours(both, query, 40)
    parts = [
        dict(zip(*map(np.ndarray.tolist, neighbours(s, q, 40)), strict=True))
        for s, q in ((one, one.X[3]), (other, other.X[5]))
    ]
    expected = [(parts[0][row] + parts[1][row]) / 2 for row in rows.tolist()]
    assert np.allclose(similarities, expected, atol=1e-6)
    assert (np.diff(similarities) <= 1e-9).all()


def test_a_file_with_several_rows_is_found_once() -> None:
    """A video is found once, by its nearest frame."""
    features = make_features(6)
    files = np.repeat(["a.mp4", "b.mp4", "c.mp4"], 4)
    rows, _ = neighbours(replace(features, columns={"file": files}), features.X[6], 12)
    assert rows[0] == 6
    assert sorted(files[rows].tolist()) == ["a.mp4", "b.mp4", "c.mp4"]


def test_zeros_and_wrong_queries() -> None:
    """A row of zeros has similarity 0. An invalid query is an error."""
    features = FeatureSet.from_arrays([[0.0, 0.0], [-1.0, 0.0]], ["a", "b"])
    rows, similarities = neighbours(features, [1.0, 0.0])
    assert rows.tolist() == [0, 1]
    assert similarities.tolist() == [0, -1]
    with pytest.raises(DataError, match=r"shape \(3,\), but the features have 2 columns"):
        neighbours(features, [1.0, 0.0, 0.0])
    with pytest.raises(DataError, match="infinite or NaN"):
        neighbours(features, [np.nan, 0.0])
    with pytest.raises(UsageError, match="at least 1, got 0"):
        neighbours(features, [1.0, 0.0], 0)
    empty = features.take(np.zeros(2, dtype=bool))
    assert len(neighbours(empty, [1.0, 0.0])[0]) == 0
