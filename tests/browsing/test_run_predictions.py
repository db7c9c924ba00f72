"""Tests of the predictions of a run."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.browsing.run_predictions import (
    label_probabilities,
    predictions_from_run,
    predictions_of,
    run_entries,
)
from clipfeat.errors import DataError
from clipfeat.evaluate.protocols import KFold
from tests.browsing.browsed import browse_data
from tests.conftest import make_features
from tests.report.runs import make_run


def test_predictions_are_matched_by_path_and_content() -> None:
    """Predictions do not depend on the row order. A changed image has none."""
    features = make_features(20)
    run = make_run(features)
    order = np.random.default_rng(0).permutation(len(features))
    keys = features.keys.copy()
    keys[7] = b"f" * 32
    shown = replace(features, keys=keys).take(order)
    predictions = predictions_from_run(browse_data(shown), run, "svm")
    expected = run.probabilities["svm"][order]
    at = int(np.flatnonzero(order == 7)[0])
    assert np.isnan(predictions.p[at]).all()
    assert predictions.predicted[at] == -1
    assert not predictions.wrong[at]
    others = order != 7
    np.testing.assert_allclose(predictions.p[others], expected[others])
    assert (predictions.wrong == ((expected.argmax(axis=1) != shown.y) & others)).all()


def test_files_with_several_rows_are_matched() -> None:
    """Each file has its prediction, although a run sorts its rows by content hash."""
    features = make_features(20)
    file = np.array([f"{i // 2}.mp4" for i in range(len(features))])
    features = replace(features, columns={"file": file})
    run = make_run(features.take(np.arange(len(features))[::-1]))
    predictions = predictions_from_run(browse_data(features), run, "svm")
    assert len(predictions.predicted) == 20
    assert (predictions.predicted >= 0).all()


def test_thresholds_of_the_folds_decide() -> None:
    """The thresholds of each fold decide the predicted classes."""
    features = make_features(40, apart=0.5)
    run = make_run(features, thresholds=True)
    predictions = predictions_from_run(browse_data(features), run, "logreg")
    cuts = np.array(run.thresholds["logreg"])[run.fold]
    expected = run.probabilities["logreg"][:, 1] >= cuts
    assert (predictions.predicted == expected).all()
    assert (expected != (run.probabilities["logreg"][:, 1] >= 0.5)).any()


def test_thresholds_decide_in_repeated_trials() -> None:
    """The predicted class is the one that most trials predict with their thresholds."""
    features = make_features(40, apart=0.5)
    run = make_run(features, KFold(repeats=3).plan(features), thresholds=True)
    predictions = predictions_from_run(browse_data(features), run, "logreg")
    votes = np.sum(
        [
            one.probabilities["logreg"][:, 1] >= np.array(one.thresholds["logreg"])[one.fold]
            for one in run.outcomes
        ],
        axis=0,
    )
    assert (predictions.predicted == (votes >= 2)).all()
    assert ((votes >= 2) != (predictions.p[:, 1] >= 0.5)).any()


def test_trials_are_averaged() -> None:
    """With repeated cross-validation, an image gets the mean of its probabilities."""
    features = make_features(10)
    run = make_run(features, KFold(repeats=3).plan(features))
    assert len(run.outcomes) == 3
    predictions = predictions_from_run(browse_data(features), run, "svm")
    expected = np.mean([one.probabilities["svm"] for one in run.outcomes], axis=0)
    np.testing.assert_allclose(predictions.p, expected)


def test_a_run_of_other_images_is_an_error() -> None:
    """The error asks for the feature file that the run was computed from."""
    run = make_run(make_features(10))
    other = make_features(10)
    moved = replace(other, paths=np.char.add("x/", other.paths))
    with pytest.raises(DataError, match="none of the images of the run"):
        predictions_from_run(browse_data(moved), run, "svm")


def test_entries_are_sorted_by_their_score() -> None:
    """The best entry comes first, and the dummy classifier last."""
    entries = run_entries(make_run(make_features(60)))
    assert entries[0] in {"svm", "soft vote"}
    assert entries[-1] == "dummy"


def test_probabilities_for_the_label_check_have_its_classes() -> None:
    """Columns follow the feature file's classes. Other classes give None."""
    features = make_features(3)
    data = browse_data(features)
    p = np.tile([0.9, 0.1], (6, 1))
    p[0] = np.nan
    given = label_probabilities(data, predictions_of(data, "svm", ("fake", "real"), p))
    assert set(given) == set(features.paths[1:].tolist())
    assert given[features.paths[1]].tolist() == [0.1, 0.9]
    assert label_probabilities(data, predictions_of(data, "svm", ("a", "b"), p)) == {}
