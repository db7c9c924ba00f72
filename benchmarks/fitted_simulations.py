"""Simulations with fitted classifiers: ``--max-fpr``, ``--abstain``, and pure noise.

``python benchmarks/statistics.py [TABLE …] [--draws 200]`` prints the tables of `FITTED`. Each draw
is a new data set from a known distribution. R is the number of draws.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from clipfeat.errors import ClipfeatWarning
from clipfeat.evaluate import (
    FewShot,
    KFold,
    LeaveOneOut,
    Matrix,
    OfficialSplit,
    Protocol,
    TrainTest,
    benchmark,
)
from clipfeat.evaluate.fitting import fit, fit_entry
from clipfeat.evaluate.run_plan import run_plan
from clipfeat.evaluate.thresholds import choose_threshold
from clipfeat.evaluate.votes import UNIFORM, VOTE_TITLES, VOTES, Voting
from clipfeat.features import FeatureSet
from clipfeat.fits.fit_resources import FitResources
from clipfeat.model.abstention import Abstention
from clipfeat.model.model_file import NO_KEYS
from clipfeat.prediction.predictions import predictions_of
from clipfeat.zoo import CHANCE, classifiers
from clipfeat.zoo.fit_options import FitOptions

Table = tuple[Sequence[str], Iterator[Sequence[str]]]

CLASSES = ("real", "fake")
N_TRAIN = 400
N_FRESH = 4_000
"""Number of fresh images of each class. A rate of 5 % has a standard error of 0.3 %, so the printed
shares are slightly too large."""
N_FEATURES = 20
GAP = 0.4
"""Difference of the class means in each feature, in standard deviations."""
MAX_FPR = 0.05
N_FRESH_OF_MODEL = 1_000
"""Number of fresh images of each class for one model that abstains."""
LEVEL = 0.05
BEST = "best"
PLAIN = "plain"
RATE_HEADS = ("classifier", "kind", "R", "exceeded", "share", "mean FPR", "mean TPR")
ABSTAINED_HEADS = (
    "classifier", "kind", "R", "expected", "99 % band", "missed real", "missed fake", "unsure",
    "wrong, not unsure",
)  # fmt: skip
ONE_THREAD = FitResources(n_jobs=1)


def gaussians(n: int, seed: int, gap: float = GAP) -> FeatureSet:
    """Draw two equally large Gaussian classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = rng.normal(size=(n, N_FEATURES)) + gap * y[:, None]
    return FeatureSet.from_arrays(X.astype(np.float32), [CLASSES[code] for code in y])


def fresh_rates(
    clf: str,
    options: FitOptions,
    seeds: Iterable[int],
    *,
    n_train: int = N_TRAIN,
    n_fresh: int = N_FRESH,
    vote: str = UNIFORM,
) -> NDArray[np.float64]:
    """Return the rates of one model for each seed, on fresh images, at its threshold.

    Each model and its threshold are those of one fold of a benchmark.

    Returns
    -------
    ndarray of shape (n_seeds, 2)
        False positive rates and true positive rates.
    """
    fresh = gaussians(2 * n_fresh, 10**6)
    names = clf.split(",")
    rates = []
    for seed in seeds:
        plan = TrainTest(fresh).plan(gaussians(n_train, seed), seed)
        run = run_plan(
            plan, names, replace(options, max_fpr=MAX_FPR), ONE_THREAD, voting=Voting((vote,))
        )
        entry = VOTE_TITLES[vote] if len(names) > 1 else clf
        positive = run.outcomes[0].probabilities[entry][:, 1] > run.thresholds[entry][0]
        tested = run.outcomes[0].fold >= 0
        rates.append([positive[tested & (run.y == code)].mean() for code in (0, 1)])
    return np.array(rates)


def grouped_rates(n_groups: int, size: int, correlation: float, R: int) -> NDArray[np.float64]:
    """Return the true false positive rates at thresholds chosen on grouped scores."""
    rates = []
    for seed in range(R):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(n_groups), size)
        effect = rng.normal(size=n_groups)[groups]
        own = rng.normal(size=len(groups))
        p = norm.cdf(np.sqrt(correlation) * effect + np.sqrt(1 - correlation) * own)
        y = np.zeros(len(groups), dtype=np.int64)
        rates.append(1 - choose_threshold(y, p, groups, max_fpr=MAX_FPR))
    return np.array(rates)


def false_positives(kind: str, options: FitOptions, R: int) -> Table:
    """Share of models whose true false positive rate exceeds the bound."""
    cases = [(name, kind, UNIFORM) for name in classifiers() if name != CHANCE]
    if kind == PLAIN:
        cases += [("logreg,knn,lda", VOTE_TITLES[vote], vote) for vote in VOTES]

    def rows() -> Iterator[Sequence[str]]:
        for clf, title, vote in cases:
            yield _row(clf, title, *fresh_rates(clf, options, range(R), vote=vote).T)

    return RATE_HEADS, rows()


def grouped_false_positives(R: int) -> Table:
    """Share of thresholds on grouped scores whose true false positive rate exceeds the bound."""

    def rows() -> Iterator[Sequence[str]]:
        for size in (4, 16):
            for correlation in (0.2, 0.8):
                kind = f"100 groups of {size}, correlation {correlation}"
                yield _row("normal scores", kind, grouped_rates(100, size, correlation, R))

    return RATE_HEADS, rows()


@dataclass(frozen=True)
class Abstained:
    """Outcomes of models that abstain, on fresh images. The arrays have one value for each model.

    Parameters
    ----------
    missed : ndarray of shape (n_models, 2)
        Shares of the images of each class whose prediction set lacks their class.
    unsure, wrong : ndarray of shape (n_models,)
        Shares of images that are unsure, and that are wrong without being unsure.
    expected : float
        Expectation of `missed` for independent calibration images that no fit saw.
    error : float
        Standard error of the mean of `missed` over the models. NaN for images with groups, where
        `expected` is an upper bound.
    """

    missed: NDArray[np.float64]
    unsure: NDArray[np.float64]
    wrong: NDArray[np.float64]
    expected: float
    error: float


def expected_missed(n: int, n_models: int, n_fresh: int | None) -> tuple[float, float]:
    """Return the expected share of missed images, and the standard error of its mean over models.

    With n calibration images and the level a, let k be the integer part of a (n + 1). The share of
    one model has the beta distribution with the parameters k and n + 1 - k, and the mean
    k / (n + 1).
    """
    k = int(LEVEL * (n + 1) + 1e-9)
    distribution = beta(k, n + 1 - k)
    mean, variance = distribution.mean(), distribution.var()
    if n_fresh is not None:
        variance += (mean * (1 - mean) - variance) / n_fresh
    return float(mean), float(np.sqrt(variance / n_models))


def abstained_scores(n: int, R: int, n_groups: int = 0, correlation: float = 0.0) -> Abstained:
    """Calibrate on normal scores of n images of each class. The share of missed images is exact."""
    missed = []
    for seed in range(R):
        rng = np.random.default_rng(seed)
        values = []
        for _ in CLASSES:
            groups = np.arange(n) % n_groups if n_groups else np.arange(n)
            effect = rng.normal(size=n)[groups]
            own = rng.normal(size=n)
            values.append(norm.cdf(np.sqrt(correlation) * effect + np.sqrt(1 - correlation) * own))
        n_independent = n_groups or n
        abstention = Abstention(
            LEVEL, np.concatenate([np.sort(one) for one in values]), (n, n), (n_independent,) * 2
        )
        missed.append(abstention.smallest)
    unknown = np.full(R, np.nan)
    expected = (LEVEL, np.nan) if n_groups else expected_missed(n, R, None)
    return Abstained(np.array(missed), unknown, unknown, *expected)


def abstained_models(clf: str, R: int, *, n_train: int, vote: str = UNIFORM) -> Abstained:
    """Fit models that abstain. With the vote `BEST`, fit the best classifier of a benchmark."""
    options = FitOptions(abstain=LEVEL)
    missed, unsure, wrong = [], [], []
    for seed in range(R):
        data, fresh = gaussians(n_train, seed), gaussians(2 * N_FRESH_OF_MODEL, 10**6 + seed)
        if vote == BEST:
            run = benchmark(data, clf, random_state=seed, resources=ONE_THREAD, progress=False)
            model = fit_entry(
                run, data, run.leaderboard().entries[0], options=options, random_state=seed,
                resources=ONE_THREAD, progress=False,
            )  # fmt: skip
        else:
            model = fit(
                data, clf, options=options, vote=vote, random_state=seed, resources=ONE_THREAD,
                progress=False,
            )  # fmt: skip
        predicted = predictions_of(replace(model, training_keys=NO_KEYS), fresh, "mean")
        missed.append([predicted.missed[name] for name in model.classes])
        is_unsure, right = predicted.unsure, np.array(predicted.predicted) == predicted.labels
        unsure.append(is_unsure.mean())
        wrong.append((~is_unsure & ~right).mean())
        assert model.abstention is not None
        n = model.abstention.n_images[0]
    return Abstained(
        np.array(missed),
        np.array(unsure),
        np.array(wrong),
        *expected_missed(n, R, N_FRESH_OF_MODEL),
    )


def abstentions(R: int) -> Table:
    """Share of the images of each class whose prediction set lacks their class."""

    def rows() -> Iterator[Sequence[str]]:
        for n in (19, 100, 400):
            kind = f"{n} images of each class"
            yield _abstained_row("normal scores", kind, abstained_scores(n, R))
        for size, correlation in ((4, 0.2), (4, 0.8), (16, 0.2), (16, 0.8)):
            kind = f"100 groups of {size}, correlation {correlation}"
            result = abstained_scores(100 * size, R, 100, correlation)
            yield _abstained_row("normal scores", kind, result)
        for clf, vote, n_train in (
            ("logreg", UNIFORM, 400), ("logreg", UNIFORM, 60), ("knn", UNIFORM, 400),
            ("lda", UNIFORM, 400), ("rf", UNIFORM, 400), ("mlp", UNIFORM, 400),
            *(("logreg,knn,lda", vote, 400) for vote in (*VOTES, BEST)),
        ):  # fmt: skip
            title = "best of the benchmark" if vote == BEST else VOTE_TITLES[vote]
            kind = f"N = {n_train}" + (f", {title}" if "," in clf else "")
            yield _abstained_row(clf, kind, abstained_models(clf, R, n_train=n_train, vote=vote))

    return ABSTAINED_HEADS, rows()


def _abstained_row(clf: str, kind: str, result: Abstained) -> Sequence[str]:
    low, high = (result.expected + sign * 2.576 * result.error for sign in (-1, 1))
    band = (f"{result.expected:.4f}", f"{low:.4f} to {high:.4f}")
    if np.isnan(low):
        band = (f"≤ {result.expected}", "")
    missed = (f"{share:.4f}" for share in result.missed.mean(axis=0))
    others = (
        "" if np.isnan(values).all() else f"{values.mean():.4f}"
        for values in (result.unsure, result.wrong)
    )
    return (
        clf, kind, f"{len(result.missed)}", *band,
        *missed, *others,
    )  # fmt: skip


def _row(
    clf: str, kind: str, rates: NDArray[np.float64], recalls: NDArray[np.float64] | None = None
) -> Sequence[str]:
    exceeded = int((rates > MAX_FPR).sum())
    recall = "" if recalls is None else f"{recalls.mean():.3f}"
    return (
        clf, kind, f"{len(rates)}", f"{exceeded}", f"{exceeded / len(rates):.3f}",
        f"{rates.mean():.4f}", recall,
    )  # fmt: skip


def noise_features(n_negative: int, n_positive: int, seed: int) -> FeatureSet:
    """Draw pure noise: photographs from two sources, and images of four generators."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], [n_negative, n_positive])
    number = np.arange(len(y))
    source = np.array(["coco", "imagenet"])[number % 2]
    made = np.array(["a", "b", "c", "d"])[number % 4]
    X = rng.normal(size=(len(y), N_FEATURES)).astype(np.float32)
    data = FeatureSet.from_arrays(X, [CLASSES[code] for code in y])
    part = np.array(["train", "train", "test"])[rng.integers(0, 3, len(y))]
    column = np.where(y == 1, made, source)
    return replace(data, columns={"generator": column, "split": part})


def noise_protocols(n_negative: int, n_positive: int, seed: int) -> Mapping[str, Protocol]:
    """Return one protocol of each kind."""
    return {
        "5-fold": KFold(5),
        "leave one out": LeaveOneOut("generator"),
        "matrix": Matrix("generator", 3),
        "few-shot": FewShot((10,), repeats=3),
        "separate test": TrainTest(noise_features(n_negative, n_positive, 10**6 + seed)),
        "official split": OfficialSplit(),
    }


def noise(R: int) -> Table:
    """Scores of classifiers on pure noise in each protocol, as means with standard errors."""
    clf = "logreg,knn,dummy"

    def rows() -> Iterator[Sequence[str]]:
        for sizes in ((120, 120), (200, 40), (40, 200)):
            scores: dict[tuple[str, str], list[list[float]]] = {}
            for seed in range(R):
                data = noise_features(*sizes, seed)
                for name, protocol in noise_protocols(*sizes, seed).items():
                    for entry, values in noise_scores(data, clf, protocol, seed).items():
                        scores.setdefault((name, entry), []).append(values)
            for (name, entry), values in scores.items():
                yield f"{sizes[0]}:{sizes[1]}", name, entry, *map(_mean, zip(*values, strict=True))

    head = ("real:fake", "protocol", "entry", "balanced accuracy", "ROC AUC", "called fake")
    return head, rows()


def noise_scores(
    data: FeatureSet, clf: str, protocol: Protocol, seed: int, options: FitOptions = FitOptions()
) -> dict[str, list[float]]:
    """Return balanced accuracy, ROC AUC and the share of images called fake, by entry."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClipfeatWarning)
        run = benchmark(
            data, clf, protocol=protocol, options=options, random_state=seed, resources=ONE_THREAD
        )
    mean = run.leaderboard().mean
    called = {
        entry: np.concatenate([one.probabilities[entry][one.fold >= 0][:, 1] > 0.5
                               for one in run.headline]).mean()
        for entry in run.entries
    }  # fmt: skip
    return {
        entry: [mean[entry]["balanced_accuracy"], mean[entry]["roc_auc"], float(called[entry])]
        for entry in run.entries
    }


def _mean(values: Sequence[float]) -> str:
    known = np.array(values)
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return f"{known.mean():.3f} ± {error:.3f}"


TITLE = f"Models whose false positive rate exceeds --max-fpr {MAX_FPR}, N = {N_TRAIN}"
FITTED = {
    "fpr": (TITLE, partial(false_positives, PLAIN, FitOptions())),
    "fpr_calibrated": (TITLE, partial(false_positives, "calibrated",
                                      FitOptions(calibrate="sigmoid"))),
    "fpr_bagged": (TITLE, partial(false_positives, "bag of 5", FitOptions(bag=5))),
    "fpr_grouped": (TITLE, grouped_false_positives),
    "abstain": (f"Prediction sets of --abstain {LEVEL} that lack the true class", abstentions),
    "noise": ("Pure noise in every protocol, mean ± standard error", noise),
}  # fmt: skip
