"""Tests of the queue of images to label next."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.errors import DataError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.features.relabelling import relabelled
from clipfeat.labelling.queue import label_queue
from tests.conftest import make_features


def blobs(n_blobs: int, n_each: int, seed: int = 0) -> FeatureSet:
    """Return unlabelled clusters far from each other. The file names contain the cluster."""
    rng = np.random.default_rng(seed)
    centres = 10 * np.eye(n_blobs)
    X = np.repeat(centres, n_each, axis=0) + rng.normal(scale=0.1, size=(n_blobs * n_each, n_blobs))
    features = FeatureSet.from_arrays(X, [""] * len(X))
    paths = np.array([f"{i // n_each}/{i % n_each}" for i in range(len(X))])
    return replace(features, paths=paths)


def some_labels(n: int) -> FeatureSet:
    """Return overlapping classes with `n` labels each."""
    features = make_features(150, apart=1.5)
    kept = np.zeros(300, dtype=bool)
    kept[:n] = kept[150 : 150 + n] = True
    return replace(features, y=np.where(kept, features.y, -1))


def test_a_cold_queue_asks_for_every_cluster() -> None:
    """With labels of fewer than two classes, the queue has one image per cluster."""
    features = blobs(6, 30)
    queue = label_queue(features, 6)
    assert {path[0] for path in queue.paths.tolist()} == set("012345")
    assert np.isnan(queue.margins).all()
    assert set(queue.predicted) == {""}
    assert (queue.n_labelled, queue.n_unlabelled) == (0, 180)
    queue = label_queue(relabelled(features, {str(queue.paths[0]): "cat"}), 6)
    assert {path[0] for path in queue.paths.tolist()} == set("012345")
    assert (queue.n_labelled, queue.n_unlabelled) == (0, 179)


def test_a_warm_queue_asks_for_uncertain_images() -> None:
    """The queue has the most uncertain images, with the classifier's predictions."""
    features = some_labels(20)
    everything = label_queue(features, 260)
    assert len(everything) == 260
    assert (np.diff(everything.margins) >= 0).all()
    queue = label_queue(features, 10)
    assert queue.n_labelled == 40
    assert set(queue.paths) <= set(everything.paths[:50])
    assert queue.margins.max() < np.median(everything.margins)
    of_path = dict(zip(everything.paths, everything.predicted, strict=True))
    assert queue.predicted.tolist() == [of_path[path] for path in queue.paths]
    assert set(queue.to_pandas().columns) == {"path", "predicted", "margin"}


def test_a_warm_queue_is_diverse() -> None:
    """Images of equal uncertainty are taken from different clusters."""
    rng = np.random.default_rng(1)
    # The first column separates the classes. All uncertain images are in eight far clusters.
    sides = rng.normal(scale=0.05, size=(240, 9))
    sides[:, 0] = 0
    sides[np.arange(240), 1 + np.arange(240) % 8] += 3
    known = np.zeros((40, 9))
    known[:, 0] = np.repeat([-2, 2], 20)
    X = np.vstack([known, sides])
    features = FeatureSet.from_arrays(X, [*["cat"] * 20, *["dog"] * 20, *[""] * 240])
    queue = label_queue(features, 8)
    assert {int(path) % 8 for path in queue.paths} == set(range(8))


@pytest.mark.parametrize("n_labels", [0, 20])
def test_the_order_of_the_rows_does_not_matter(n_labels: int) -> None:
    """One seed gives one queue for any row order, even with frames and copies."""
    features = some_labels(n_labels)
    files = features.paths.copy()
    files[200:260] = [f"{i // 3}.mp4" for i in range(60)]
    keys = features.keys.copy()
    keys[120:130] = keys[60:70]
    keys[170:175] = keys[0:5]  # contradicting labels of copies
    features = replace(features, columns={"file": files}, keys=keys)
    mixed = features.take(np.random.default_rng(0).permutation(len(features)))
    one, other = label_queue(features, 12), label_queue(mixed, 12)
    assert one.paths.tolist() == other.paths.tolist()
    assert mixed.files[other.rows].tolist() == other.paths.tolist()
    assert label_queue(features, 12).paths.tolist() == one.paths.tolist()
    assert label_queue(features, 12, seed=1).paths.tolist() != one.paths.tolist()


def test_copies_and_skipped_files_are_not_asked_for() -> None:
    """Copies of labelled images, and second copies, are not in the queue."""
    features = some_labels(20)
    keys = features.keys.copy()
    keys[100] = keys[0]  # a copy of a labelled file
    keys[101] = keys[102]
    features = replace(features, keys=keys)
    queue = label_queue(features, 300)
    assert len(queue) == 258
    assert features.paths[100] not in queue.paths
    assert len({str(features.paths[101]), str(features.paths[102])} & set(queue.paths)) == 1
    skipped = queue.paths[:3].tolist()
    queue = label_queue(features, 300, without=skipped)
    assert len(queue) == 255
    assert queue.n_unlabelled == 258
    assert not set(skipped) & set(queue.paths)


def test_a_label_of_a_copy_counts() -> None:
    """A label of either copy makes the image a training image."""
    features = some_labels(3)
    keys = features.keys.copy()
    keys[200] = keys[0]
    y = features.y.copy()
    y[[0, 200]] = -1, 0
    queue = label_queue(replace(features, keys=keys, y=y), 5)
    assert queue.n_labelled == 6


def test_edges() -> None:
    """No unlabelled images, identical features and invalid arguments are handled."""
    features = make_features(5)
    assert len(label_queue(features, 5)) == 0
    alike = FeatureSet.from_arrays(np.ones((9, 3)), [""] * 9)
    assert len(label_queue(alike, 4)) == 4
    labelled = FeatureSet.from_arrays(np.ones((9, 3)), ["cat", "dog", *[""] * 7])
    assert len(label_queue(labelled, 4)) == 4
    with pytest.raises(UsageError, match="at least 1 image, got 0"):
        label_queue(features, 0)
    with pytest.raises(DataError, match="by their features"):
        label_queue(FeatureSet.from_arrays(np.ones((3, 0)), [""] * 3), 2)
