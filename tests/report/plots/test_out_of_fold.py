"""Answers put together."""

from dataclasses import replace

import numpy as np

from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.protocols import FewShot, KFold
from clipfeat.report.plots.out_of_fold import gather, recall
from tests.conftest import make_features
from tests.report.runs import make_run, with_generators


def test_each_file_comes_once_with_its_own_answer() -> None:
    """Five folds together are every file, decided by the threshold of its own fold."""
    run = make_run(with_generators(30), thresholds=True)
    answers = gather(run, "svm")
    assert answers is not None
    assert sorted(answers.row) == list(range(len(run.y)))
    assert np.array_equal(answers.y, run.y[answers.row])
    assert np.array_equal(answers.p, run.probabilities["svm"][answers.row])
    cuts = np.array([0.4 + 0.02 * int(fold) for fold in answers.fold])
    assert np.array_equal(answers.called, answers.p[:, 1] > cuts)
    assert len(answers.thresholds) == 5


def test_frames_of_one_file_are_one_answer() -> None:
    """Rows of one file are averaged."""
    features = make_features(30)
    file = np.char.add("v", (np.arange(60) // 3).astype(str))
    features = replace(features, columns={"file": file}, groups=file)
    run = make_run(features, KFold(2).plan(features))
    answers = gather(run, "svm")
    assert answers is not None
    assert len(answers.row) == 20
    assert np.allclose(answers.p[0], run.probabilities["svm"][answers.row[0] :][:3].mean(axis=0))


def test_of_few_shot_trials_those_of_the_most_images() -> None:
    """Answers after one image do not mix with those after twenty."""
    features = with_generators(60)
    run = make_run(features, FewShot([1, 20], repeats=2).plan(features))
    answers = gather(run, "svm")
    assert answers is not None
    assert len(answers.row) == sum(
        (o.fold >= 0).sum() for o in run.outcomes if o.trial.n_train == 20
    )
    assert gather(run, "no such entry") is None


def test_recall_is_the_metric_of_decisions() -> None:
    """Balanced accuracy; of one class, its recall."""
    y, called = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert recall(y, called, 2) == METRICS["balanced_accuracy"].function(y, np.eye(2)[called])
    assert recall(y[:3], called[:3], 2) == 2 / 3
