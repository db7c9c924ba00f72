"""Compare labels for images that ``clipfeat next`` chooses with labels for random images.

``python benchmarks/labelling.py POOL.h5 TEST.h5 --repeats 30``

Each repetition uses a random part of the pool, at first without labels. Batches of images get their
true labels until ``--labels`` images have one. After each batch, a logistic regression is fitted on
the labelled images and scored on the test file. The script prints the mean accuracy of each method,
and the difference from random images with a 95 % interval (paired by repetition, Student's t).
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t
from threadpoolctl import threadpool_limits

import clipfeat
from clipfeat.features import FeatureSet
from clipfeat.labelling import queue
from clipfeat.labelling.queue import label_queue
from clipfeat.zoo import make_classifier

Rows = NDArray[np.int64]


def choose_random(pool: FeatureSet, labelled: Rows, n: int, seed: int) -> Rows:
    """Draw unlabelled images."""
    free = np.setdiff1d(np.arange(len(pool)), labelled)
    return np.random.default_rng((seed, len(labelled))).choice(free, n, replace=False)


def choose_queued(pool: FeatureSet, labelled: Rows, n: int, seed: int) -> Rows:
    """Choose images as ``clipfeat next`` does."""
    y = np.full(len(pool), -1)
    y[labelled] = pool.y[labelled]
    return label_queue(replace(pool, y=y), n, seed=seed).rows


def choose_uncertain(pool: FeatureSet, labelled: Rows, n: int, seed: int) -> Rows:
    """Choose the images with the smallest margins, without clustering."""
    factor, queue.FACTOR = queue.FACTOR, 1
    try:
        return choose_queued(pool, labelled, n, seed)
    finally:
        queue.FACTOR = factor


def choose_distant(pool: FeatureSet, labelled: Rows, n: int, seed: int) -> Rows:
    """Choose images by k-means++ alone, without a classifier."""
    unlabelled = replace(pool, y=np.full(len(pool), -1))
    return label_queue(unlabelled, n, seed=seed, without=pool.files[labelled].tolist()).rows


METHODS: dict[str, Callable[[FeatureSet, Rows, int, int], Rows]] = {
    "random": choose_random,
    "`clipfeat next`": choose_queued,
    "margin alone": choose_uncertain,
    "k-means++ alone": choose_distant,
}


def accuracies(
    pool: FeatureSet, test: FeatureSet, method: str, n_labels: int, batch: int, seed: int
) -> list[float]:
    """Return the accuracy on the test images after each batch."""
    labelled = np.empty(0, dtype=np.int64)
    scores = []
    while len(labelled) < n_labels:
        n = min(batch, n_labels - len(labelled))
        labelled = np.concatenate([labelled, METHODS[method](pool, labelled, n, seed)])
        y = pool.y[labelled]
        if len(np.unique(y)) < 2:
            scores.append(float((test.y == y[0]).mean()))
            continue
        model = make_classifier("logreg", random_state=0, n_jobs=1).fit(pool.X[labelled], y)
        scores.append(float((model.predict(test.X) == test.y).mean()))
    return scores


def main() -> None:
    """Print the table of accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool")
    parser.add_argument("test")
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--pool-size", type=int, default=2500)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    pool, test = clipfeat.load(args.pool).in_content_order(), clipfeat.load(args.test)
    assert pool.classes == test.classes
    scores: dict[str, list[list[float]]] = {method: [] for method in METHODS}
    with threadpool_limits(1):
        for seed in range(args.repeats):
            rows = np.random.default_rng(seed).permutation(len(pool))[: args.pool_size]
            for method in METHODS:
                scores[method].append(
                    accuracies(pool.take(rows), test, method, args.labels, args.batch, seed)
                )
    steps = [*range(args.batch, args.labels, args.batch), args.labels]
    print(f"{args.repeats} repetitions, {len(test)} test images, batches of {args.batch}\n")
    print(f"| images chosen by | {' | '.join(map(str, steps))} | difference at {steps[-1]} |")
    print(f"|---|{'--:|' * (len(steps) + 1)}")
    baseline = np.array(scores["random"])
    for method, of_method in scores.items():
        values = np.array(of_method)
        gain = values[:, -1] - baseline[:, -1]
        half = t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
        interval = f"{gain.mean():+.4f} ({gain.mean() - half:+.4f} to {gain.mean() + half:+.4f})"
        means = " | ".join(f"{mean:.4f}" for mean in values.mean(axis=0))
        print(f"| {method} | {means} | {interval if method != 'random' else '–'} |")


if __name__ == "__main__":
    main()
