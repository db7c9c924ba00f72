"""Tests of cells, and of the separation of training and test rows."""

from functools import partial

import numpy as np
import pytest

from clipfeat.evaluate.splits import cross_validation
from clipfeat.fits.cells import fit_and_predict
from clipfeat.zoo.building import build
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


@pytest.mark.parametrize("bag", [0, 4])
@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_test_rows_do_not_affect_the_fit(name: str, bag: int) -> None:
    """Changing the test rows does not change the probabilities of the training rows."""
    data = make_features(30, apart=1.0, groups=True)
    train, test = cross_validation(data, 3, 0)[0]
    X, y = data.X.copy(), data.y.copy()
    X[test], y[test] = -X[test], 1 - y[test]
    plain, turned = (
        fit_and_predict(partial(build, name, FitOptions(bag=bag)), (some, labels, data.groups),
                        (train, test), 2, seed=0, out_of_fold=True, measure_size=False)
        for some, labels in ((data.X, data.y), (X, y))
    )  # fmt: skip
    assert plain.train is not None
    assert turned.train is not None
    assert np.array_equal(plain.train, turned.train)
    assert not np.array_equal(plain.test, turned.test)


@pytest.mark.parametrize("bag", [0, 4])
def test_training_rows_are_out_of_fold(bag: int) -> None:
    """Training rows are predicted out of fold: a 1-nearest neighbour is at chance level."""
    data = make_features(60, apart=0.0, n_features=20)
    split = cross_validation(data, 3, 0)[0]
    params = {"cappedneighborsclassifier__n_neighbors": 1}
    cell = fit_and_predict(
        partial(build, "knn", FitOptions(bag=bag), params=params), (data.X, data.y, None), split,
        2, seed=0, out_of_fold=True, measure_size=False,
    )  # fmt: skip
    assert cell.train is not None
    assert 0.3 < (cell.train.argmax(axis=1) == data.y[split[0]]).mean() < 0.7
    assert (len(np.unique(cell.train)) > 2) == bool(bag)
