"""Tests of the lists of duplicates and possible label errors."""

from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

from clipfeat.browsing.lists import exact_duplicates, label_errors, near_duplicates
from clipfeat.browsing.run_predictions import predictions_of
from clipfeat.browsing.session import NotReadyError, finished
from tests.auditing.test_duplicates import with_copies
from tests.browsing.browsed import browse_data
from tests.conftest import make_features


def test_clusters_of_identical_files() -> None:
    """Clusters with several labels come first, and each file occurs once."""
    data = browse_data(with_copies({8: 6, 12: 6, 104: 4}, exact=True))
    listed = exact_duplicates(data)
    assert listed.rows.tolist() == [4, 104, 6, 8, 12]
    assert [listed.clusters[row] for row in listed.rows.tolist()] == [1, 1, 2, 2, 2]
    assert listed.notes[104] == "cluster 1"
    assert len(listed.sentences) == 2


def test_a_cluster_across_splits_and_labels_is_listed_once() -> None:
    """A cluster that the audit reports twice is listed once."""
    split = np.where(np.arange(200) < 100, "train", "test")
    data = browse_data(with_copies({104: 4}, exact=True, columns={"split": split}))
    assert exact_duplicates(data).rows.tolist() == [4, 104]


def test_near_duplicates() -> None:
    """Similar images form a cluster. If there are none, a sentence says so."""
    assert near_duplicates(browse_data(with_copies({8: 6}, exact=False))).rows.tolist() == [6, 8]
    none = near_duplicates(browse_data(with_copies({}, exact=False)))
    assert not len(none.rows)
    assert none.sentences == ("No two files have nearly the same features.",)


def test_label_errors_use_the_predictions() -> None:
    """The images are sorted by how likely their label is wrong."""
    features = make_features(10)
    y = features.y.copy()
    y[3], y[15] = 1, 0
    data = browse_data(replace(features, y=y))
    p_fake = np.where(features.y == 1, 0.8, 0.2)
    p_fake[3], p_fake[15] = 0.1, 0.95
    p = np.stack([1 - p_fake, p_fake], axis=1)
    listed = label_errors(data, predictions_of(data, "svm", features.classes, p))
    assert listed.rows.tolist() == [15, 3]
    assert not listed.notes  # the grid shows the predicted class
    assert "according to svm" in listed.sentences[0]


def test_label_errors_without_predictions() -> None:
    """Without a run, a logistic regression is cross-validated and suggests a class."""
    features = make_features(30, apart=12.0)
    y = features.y.copy()
    y[3] = 1
    listed = label_errors(browse_data(replace(features, y=y)))
    assert listed.rows.tolist() == [3]
    assert listed.notes[3].startswith("maybe real 0.")
    assert "according to logistic regression" in listed.sentences[0]


def test_a_list_of_earlier_labels_is_not_ready() -> None:
    """The page repeats a request whose list was cancelled because labels have changed."""
    future: Future[None] = Future()
    future.cancel()
    with pytest.raises(NotReadyError):
        finished(future)
