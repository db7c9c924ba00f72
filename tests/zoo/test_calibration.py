"""Tests of calibration on groups."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from clipfeat.evaluate import benchmark
from clipfeat.features import FeatureSet
from clipfeat.report import remarks
from clipfeat.zoo import classifiers
from clipfeat.zoo.building import build
from clipfeat.zoo.calibration import ALWAYS_CALIBRATED, GroupCalibratedClassifier


def groups_of_noise(n_groups: int, n_each: int, seed: int) -> FeatureSet:
    """Make groups of similar images, whose classes are unrelated to their features."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), n_each)
    centres = rng.normal(size=(n_groups, 100)) * 2
    X = rng.normal(size=(len(group), 100)) * 0.5 + centres[group]
    return FeatureSet.from_arrays(X, (group % 2).tolist(), group.tolist())


@pytest.mark.parametrize("name", sorted(ALWAYS_CALIBRATED))
def test_probabilities_of_few_groups_are_cautious(name: str) -> None:
    """For new groups, the log loss stays near that of chance, 0.69.

    With Platt scaling, it is above 1.2 for svm.
    """
    losses = []
    for seed in range(4):
        train, test = groups_of_noise(6, 20, seed), groups_of_noise(40, 5, seed + 100)
        model = build(name, n_jobs=1).fit(train.X, train.y, groups=train.groups)
        assert model.calibrated_.method == "temperature"
        losses.append(log_loss(test.y, model.predict_proba(test.X)))
    assert np.mean(losses) < 0.9


def test_few_groups_are_stated() -> None:
    """Eight groups in a training set cause a remark. With twenty groups, Platt scaling is kept."""
    few = benchmark(groups_of_noise(10, 6, 0), "linsvm")
    text = " ".join(remarks(few, few.leaderboard()))
    assert "A training set has 8 groups, fewer than 10" in text
    assert "few_groups" not in benchmark(groups_of_noise(10, 6, 0), "dummy").about
    many = groups_of_noise(20, 6, 0)
    model = build("linsvm").fit(many.X, many.y, groups=many.groups)
    assert model.calibrated_.method == "sigmoid"


def test_the_calibrated_classifiers_are_listed() -> None:
    """The list names the classifiers that are calibrated by default."""
    built = {name for name in classifiers() if isinstance(build(name), GroupCalibratedClassifier)}
    assert built == ALWAYS_CALIBRATED
