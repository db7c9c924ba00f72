"""The benchmark: every classifier and their soft vote on the same folds.

Out-of-fold probabilities are kept, so that votes, and whatever is asked of them later, refit
nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble import align, soft_vote
from clipfeat.errors import ClipfeatError, DataError
from clipfeat.evaluate.metrics import score
from clipfeat.features import FeatureSet
from clipfeat.model import dump_estimator
from clipfeat.spec import EncoderSpec, titles
from clipfeat.splits import cross_validation, fit_with_groups, leave_one_out
from clipfeat.zoo import CHANCE, make_classifier, parse_names, pick_threads

if TYPE_CHECKING:
    import pandas as pd

VOTE = "soft vote"
COSTS = ("fit_seconds", "predict_seconds", "model_bytes")


@dataclass(frozen=True)
class Step:
    """One finished cell of a benchmark, for a progress bar."""

    done: int
    total: int
    entry: str
    fold: str


@dataclass(frozen=True, eq=False, repr=False)
class Benchmark:
    """What a benchmark found.

    Parameters
    ----------
    rows : sequence of mapping
        Tidy: encoder, classifier, fold, seed, metric, value, seconds.
    probabilities : mapping of str to ndarray of shape (n_samples, n_classes)
        Out-of-fold, by entry; NaN where a row was in no test.
    y : ndarray of shape (n_samples,)
        True class indices.
    fold : ndarray of shape (n_samples,)
        The fold in which each row was tested; -1 for none.
    folds : tuple of str
        Names of the folds.
    classes, paths, specs
        As in the `FeatureSet`.
    errors : mapping of str to str
        Entries that failed, and why.
    about : mapping
        How it was run: protocol, seed, images, groups.
    """

    rows: Sequence[Mapping[str, Any]]
    probabilities: Mapping[str, NDArray[np.float64]]
    y: NDArray[np.int64]
    fold: NDArray[np.int64]
    folds: tuple[str, ...]
    classes: tuple[str, ...]
    paths: NDArray[np.str_]
    specs: tuple[EncoderSpec, ...]
    errors: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Benchmark({self.about.get('protocol')} on {len(self.y)} images: "
            f"{', '.join(self.probabilities)})"
        )

    def to_pandas(self) -> "pd.DataFrame":
        """The tidy rows as a table."""
        import pandas as pd

        names = ["encoder", "classifier", "fold", "seed", "metric", "value", "seconds"]
        return pd.DataFrame(list(self.rows), columns=names)

    def save_probabilities(self, path: str | Path) -> None:
        """Write the out-of-fold probabilities as one compressed ``.npz``, an array an entry."""
        arrays: dict[str, Any] = {
            "paths": self.paths, "y": self.y, "fold": self.fold,
            "folds": np.array(self.folds), "classes": np.array(self.classes),
            **{f"p/{entry}": p for entry, p in self.probabilities.items()},
        }  # fmt: skip
        np.savez_compressed(path, **arrays)


def benchmark(
    features: FeatureSet,
    clf: str | Sequence[str] = "all",
    *,
    cv: int = 5,
    leave_out: str | None = None,
    seed: int = 0,
    balance: bool = False,
    n_jobs: int | None = None,
    progress: Callable[[Step], None] = lambda step: None,
) -> Benchmark:
    """Compare classifiers and their soft vote on the same folds.

    Parameters
    ----------
    features : FeatureSet
        Labelled images; rows without a label are left out. With several encoders, every classifier
        runs on each, and all of them vote.
    clf : str or sequence of str
        ``"all"``, or names of the zoo.
    cv : int
        Number of stratified folds; groups are never split.
    leave_out : str, optional
        A column each of whose values is held out in turn, in place of `cv`: ``"generator"``.
    seed : int
        Of the folds and the classifiers.
    balance : bool
        Whether all classes count alike.
    n_jobs : int, optional
        Threads; None is one for small data, else all processors.
    progress : callable
        Told after each cell.

    Returns
    -------
    Benchmark
        An entry that fails is in its ``errors``; the others go on.

    Raises
    ------
    LabelError
        If there are no labels, one class, or a class with fewer images (or groups) than folds.
    """
    names = parse_names(clf)
    data = features.labelled()
    splits = (
        leave_one_out(data, leave_out, seed)
        if leave_out
        else {str(i): split for i, split in enumerate(cross_validation(data, cv, seed))}
    )
    entries = entry_names(names, data.specs)
    threads = pick_threads(n_jobs, data.X.size)
    groups = data.split_groups
    shape = (len(data), len(data.classes))
    probabilities = {entry: np.full(shape, np.nan) for entry in entries}
    fold_of = np.full(len(data), -1)
    rows: list[dict[str, Any]] = []
    errors: dict[str, str] = {}
    done = 0
    for number, (fold, (train, test)) in enumerate(splits.items()):
        fold_of[test] = number
        for entry, (name, columns) in entries.items():
            if entry not in errors:
                try:
                    estimator = make_classifier(
                        name, random_state=seed, balance=balance, n_jobs=threads
                    )
                    p, costs = _cell(estimator, data, columns, groups, train, test, number == 0)
                    probabilities[entry][test] = p
                    rows += _rows(entry, data, fold, seed, test, p, costs)
                except Exception as error:
                    # A classifier is anybody's code: whatever it raises is its own row's matter.
                    text = str(error) if isinstance(error, ClipfeatError) else repr(error)
                    errors[entry] = f"fold {fold}: {text}"
            done += 1
            progress(Step(done, len(splits) * len(entries), entry, fold))
    for entry in errors:
        del probabilities[entry]
        rows = [row for row in rows if row["classifier"] != entry]
    if not probabilities:
        reasons = "; ".join(f"{entry}: {why}" for entry, why in errors.items())
        raise DataError(f"no classifier could be fitted: {reasons}")
    voters = [entry for entry in probabilities if entries[entry][0] != CHANCE]
    if len(voters) > 1:
        vote = np.full(shape, np.nan)
        tested = fold_of >= 0
        vote[tested] = soft_vote([probabilities[entry][tested] for entry in voters])
        for fold, (_, test) in splits.items():
            costs = _summed_costs(rows, voters, fold)
            rows += _rows(VOTE, data, fold, seed, test, vote[test], costs)
        probabilities[VOTE] = vote
    about = {
        "protocol": f"leave one {leave_out} out" if leave_out else f"{cv}-fold",
        "seed": seed,
        "balance": balance,
        "images": len(data),
        "unlabelled": len(features) - len(data),
        "groups": None if groups is None else len(np.unique(groups)),
        "grouped": data.groups is not None,
        "per_class": dict(zip(data.classes, np.bincount(data.y).tolist(), strict=True)),
        "voters": voters,
    }
    return Benchmark(
        rows, probabilities, data.y, fold_of, tuple(splits), data.classes, data.paths, data.specs,
        errors, about,
    )  # fmt: skip


def entry_names(names: Sequence[str], specs: Sequence[EncoderSpec]) -> dict[str, tuple[str, slice]]:
    """The (classifier, columns) of every entry, by the name it has in tables.

    One encoder's entries are named by the classifier alone; several encoders' as
    ``"svm @ timm:resnet50.a1_in1k 224px"``.
    """
    if len(specs) < 2:
        return {name: (name, slice(None)) for name in names}
    ends = np.cumsum([spec.n_features for spec in specs]).tolist()
    return {
        f"{name} @ {title}": (name, slice(end - spec.n_features, end))
        for title, spec, end in zip(titles(specs), specs, ends, strict=True)
        for name in names
    }


def _cell(
    estimator: Any,
    data: FeatureSet,
    columns: slice,
    groups: NDArray[np.str_] | None,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    measure_size: bool,
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Fit on the training rows, predict the test rows; the costs beside."""
    begun = time.perf_counter()
    fit_with_groups(
        estimator, data.X[train, columns], data.y[train], None if groups is None else groups[train]
    )
    fitted = time.perf_counter()
    p = estimator.predict_proba(data.X[test, columns])
    predicted = time.perf_counter()
    costs = {"fit_seconds": fitted - begun, "predict_seconds": predicted - fitted}
    if measure_size:
        costs["model_bytes"] = float(len(dump_estimator(estimator)))
    return align(p, estimator.classes_, np.arange(len(data.classes))), costs


def _rows(
    entry: str,
    data: FeatureSet,
    fold: str,
    seed: int,
    test: NDArray[np.int64],
    p: NDArray[np.float64],
    costs: Mapping[str, float],
) -> list[dict[str, Any]]:
    _, _, encoder = entry.partition(" @ ")
    common = {
        "encoder": encoder or " + ".join(spec.title for spec in data.specs),
        "classifier": entry,
        "fold": fold,
        "seed": seed,
    }
    seconds = costs.get("fit_seconds", 0.0) + costs.get("predict_seconds", 0.0)
    values = {**score(data.y[test], p), **costs}
    return [{**common, "metric": m, "value": v, "seconds": seconds} for m, v in values.items()]


def _summed_costs(
    rows: Sequence[Mapping[str, Any]], voters: Sequence[str], fold: str
) -> dict[str, float]:
    """What the vote costs: all of its members."""
    costs: dict[str, float] = {}
    for row in rows:
        if row["classifier"] in voters and row["fold"] == fold and row["metric"] in COSTS:
            costs[row["metric"]] = costs.get(row["metric"], 0.0) + row["value"]
    return costs
