"""Tests of pooled out-of-fold predictions."""

from dataclasses import replace

import numpy as np

from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.protocols import FewShot, KFold
from clipfeat.report.plots.out_of_fold import out_of_fold_predictions, recall
from tests.conftest import make_features
from tests.report.runs import make_run, with_generators


def test_five_folds_cover_each_file_once() -> None:
    """Each file has the probabilities and the threshold of its test fold."""
    run = make_run(with_generators(30), thresholds=True)
    predictions = out_of_fold_predictions(run, "svm")
    assert predictions is not None
    assert sorted(predictions.row) == list(range(len(run.y)))
    assert np.array_equal(predictions.y, run.y[predictions.row])
    assert np.array_equal(predictions.p, run.probabilities["svm"][predictions.row])
    thresholds_of_files = np.array([0.4 + 0.02 * int(fold) for fold in predictions.fold])
    assert np.array_equal(predictions.y_pred, predictions.p[:, 1] > thresholds_of_files)
    assert len(predictions.thresholds) == 5


def test_frames_of_a_file_are_averaged() -> None:
    """A file with three rows has one prediction."""
    features = make_features(30)
    file = np.char.add("v", (np.arange(60) // 3).astype(str))
    features = replace(features, columns={"file": file}, groups=file)
    run = make_run(features, KFold(2).plan(features))
    predictions = out_of_fold_predictions(run, "svm")
    assert predictions is not None
    assert len(predictions.row) == 20
    assert np.allclose(
        predictions.p[0], run.probabilities["svm"][predictions.row[0] :][:3].mean(axis=0)
    )


def test_few_shot_runs_pool_the_largest_trials() -> None:
    """Only predictions of the largest training size are pooled."""
    features = with_generators(60)
    run = make_run(features, FewShot([1, 20], repeats=2).plan(features))
    predictions = out_of_fold_predictions(run, "svm")
    assert predictions is not None
    assert len(predictions.row) == sum(
        (o.fold >= 0).sum() for o in run.outcomes if o.trial.n_train == 20
    )
    assert out_of_fold_predictions(run, "no such entry") is None


def test_recall_is_balanced_accuracy_of_decisions() -> None:
    """With one class present, balanced accuracy is the recall of this class."""
    y, y_pred = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert recall(y, y_pred, 2) == METRICS["balanced_accuracy"].function(y, np.eye(2)[y_pred])
    assert recall(y[:3], y_pred[:3], 2) == 2 / 3
