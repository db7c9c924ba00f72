"""Tests that results do not depend on the number of BLAS threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from clipfeat.zoo import make_classifier
from clipfeat.zoo.one_blas_thread import one_blas_thread


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_the_limit_ends_with_the_block_in_every_thread() -> None:
    """In any thread, the block has one BLAS thread, and its end restores the number."""

    def inside() -> set[int]:
        with one_blas_thread():
            return blas_threads()

    before = blas_threads()
    with ThreadPoolExecutor(1) as pool:
        for here in (inside, pool.submit(inside).result, inside):
            assert here() == {1}
            assert blas_threads() == before


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_same_probabilities_with_every_number_of_threads(name: str) -> None:
    """Probabilities are bit-identical for any number of threads.

    Without the limit, OpenBLAS divides such products among its threads, which changes the last
    bits.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 300)).astype(np.float32)
    y = (X[:, 0] + rng.normal(size=2000) > 0).astype(int)
    results = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            model = make_classifier(name, n_jobs=1).fit(X, y)
        with threadpool_limits(1 if name == "logreg" else n_threads, user_api="blas"):
            results.append(model.predict_proba(X))
    assert np.array_equal(*results)
