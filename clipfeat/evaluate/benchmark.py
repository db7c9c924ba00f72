"""The benchmark: every classifier and their soft vote on the same folds.

Out-of-fold probabilities are kept, so that votes, and whatever is asked of them later, refit
nothing. A threshold is chosen inside the training rows of each fold, on probabilities that are out
of fold there: three further fits of each classifier on two thirds of those rows, about three times
the time; a bag's own members say it for nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatError, DataError
from clipfeat.evaluate.calibration import miscalibration
from clipfeat.evaluate.cells import INNER, Cell, run_cell
from clipfeat.evaluate.metrics import score
from clipfeat.evaluate.thresholds import threshold_chooser
from clipfeat.evaluate.votes import TITLES, cast, parse_votes
from clipfeat.features import FeatureSet
from clipfeat.parts import by_file
from clipfeat.spec import EncoderSpec, titles
from clipfeat.splits import cross_validation, leave_one_out
from clipfeat.zoo import CHANCE, parse_names, pick_threads
from clipfeat.zoo.recipe import build, check_recipe, count_fits
from clipfeat.zoo.tuning import check_time_limit, time_share
from clipfeat.zoo.tuning import tune as search_space

if TYPE_CHECKING:
    import pandas as pd

VOTE = TITLES["uniform"]
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
    thresholds : mapping of str to sequence of float
        By entry, the threshold of each fold, where one was asked for.
    groups : ndarray of shape (n_samples,), or None
        What no fold parted.
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
    thresholds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    groups: NDArray[np.str_] | None = None

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
    balance: bool | str = False,
    accelerate: bool = True,
    calibrate: str = "none",
    bag: int = 0,
    threshold: str | None = None,
    max_fpr: float | None = None,
    vote: str | Sequence[str] = "uniform",
    vote_weights: Sequence[float] | None = None,
    tune: bool = False,
    time_limit: float | None = None,
    n_jobs: int | None = None,
    progress: Callable[[Step], None] = lambda step: None,
) -> Benchmark:
    """Compare classifiers and their soft vote on the same folds.

    Parameters
    ----------
    features : FeatureSet
        Labelled images; rows without a label are left out. With several encoders, every classifier
        runs on each, and all of them vote. Frames, faces and views of one file are trained on as
        rows and scored as one, by their average.
    clf : str or sequence of str
        ``"all"``, or names of the zoo.
    cv : int
        Number of stratified folds; groups are never split.
    leave_out : str, optional
        A column each of whose values is held out in turn, in place of `cv`: ``"generator"``.
    seed : int
        Of the folds and the classifiers.
    balance : bool or str
        Whether all classes count alike, and how: one of `clipfeat.zoo.balance.BALANCES`.
    accelerate : bool
        Whether scikit-learn-intelex, or a GPU, fits what it can, where it is there.
    calibrate, bag
        As in `clipfeat.zoo.recipe.build`: ``"sigmoid"``, 5.
    threshold, max_fpr
        As `metric` and `max_fpr` in `clipfeat.evaluate.thresholds.threshold_chooser`: decisions by
        a threshold that is chosen inside each training, at about three times the time.
    vote : str or sequence of str
        Of `clipfeat.evaluate.votes.VOTES`, or ``"all"``: how the classifiers vote. Each is an
        entry.
    vote_weights : sequence of float, optional
        A weight of each entry that votes, in their order: one more vote.
    tune : bool
        Whether each classifier's parameters are searched for inside each training; see
        `clipfeat.zoo.tuning`.
    time_limit : float, optional
        Seconds that the whole run may take: searches end in time for it. It cannot be kept where
        the fits without any search take longer.
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
    UsageError
        If a threshold is asked for and there are not two classes, or weights do not fit.
    """
    names = parse_names(clf)
    check_recipe(calibrate, bag, balance)
    data = features.labelled()
    choose = threshold_chooser(threshold, max_fpr, data.classes)
    check_time_limit(tune, time_limit)
    splits = (
        leave_one_out(data, leave_out, seed)
        if leave_out
        else {str(i): split for i, split in enumerate(cross_validation(data, cv, seed))}
    )
    entries = entry_names(names, data.specs)
    able = [entry for entry, (name, _) in entries.items() if name != CHANCE]
    hows = parse_votes(vote, vote_weights, able)
    given = None if vote_weights is None else dict(zip(able, vote_weights, strict=True))
    threads = pick_threads(n_jobs, data.X.size)
    groups = data.split_groups
    cells: dict[str, list[Cell]] = {entry: [] for entry in entries}
    errors: dict[str, str] = {}
    begun, done, n_cells = time.monotonic(), 0, len(splits) * len(entries)
    for fold, split in splits.items():
        for entry, (name, columns) in entries.items():
            if entry not in errors:
                try:
                    make = partial(
                        build, name, random_state=seed, n_jobs=threads, balance=balance,
                        calibrate=calibrate, bag=bag, accelerate=accelerate,
                    )  # fmt: skip
                    search = partial(
                        search_space, name, random_state=seed, n_jobs=threads,
                        seconds=time_share(begun, time_limit, n_cells - done),
                        n_fits=count_fits(make()) * (1 if choose is None else 1 + INNER),
                    )  # fmt: skip
                    cell = run_cell(
                        make, (data.X[:, columns], data.y, groups), split, len(data.classes),
                        seed=seed, inner=choose is not None, measure_size=not cells[entry],
                        search=search if tune else None,
                    )  # fmt: skip
                    cells[entry].append(cell)
                except Exception as error:
                    # A classifier is anybody's code: whatever it raises is its own row's matter.
                    text = str(error) if isinstance(error, ClipfeatError) else repr(error)
                    errors[entry] = f"fold {fold}: {text}"
            done += 1
            progress(Step(done, n_cells, entry, fold))
    for entry in errors:
        del cells[entry]
    if not cells:
        raise DataError(
            f"no classifier could be fitted: {'; '.join(map(': '.join, errors.items()))}"
        )
    voters = [entry for entry in cells if entries[entry][0] != CHANCE]
    votes: dict[str, Mapping[str, Sequence[float]]] = {}
    members = {entry: cells[entry] for entry in voters}
    for how in hows if len(voters) > 1 else ():
        title = TITLES[how]
        try:
            cells[title], votes[title] = cast(how, members, list(splits.values()), data.y, given)
        except ClipfeatError as error:
            errors[title] = str(error)
    probabilities = {entry: np.full((len(data), len(data.classes)), np.nan) for entry in cells}
    thresholds: dict[str, list[float]] = {}
    fold_of = np.full(len(data), -1)
    rows: list[dict[str, Any]] = []
    for entry, of_entry in cells.items():
        for number, (fold, (train, test)) in enumerate(splits.items()):
            cell = of_entry[number]
            fold_of[test] = number
            probabilities[entry][test] = cell.test
            if choose is not None and cell.train is not None:
                thresholds.setdefault(entry, []).append(choose(data.y[train], cell.train))
            at = thresholds[entry][number] if entry in thresholds else None
            rows += _rows(entry, data, fold, seed, test, cell, at)
    about = {
        "protocol": f"leave one {leave_out} out" if leave_out else f"{cv}-fold",
        "seed": seed,
        "balance": balance,
        "calibrate": calibrate,
        "bag": bag,
        "threshold_by": threshold if max_fpr is None else f"max_fpr {max_fpr:g}",
        "images": len(data),
        "unlabelled": len(features) - len(data),
        "groups": None if groups is None else len(np.unique(groups)),
        "grouped": data.groups is not None,
        "per_class": dict(zip(data.classes, np.bincount(data.y).tolist(), strict=True)),
        "voters": voters,
        "votes": votes,
        "tune": tune,
        "time_limit": time_limit,
        "seconds": time.monotonic() - begun,
        "tuned": _tuned(cells, list(splits)),
        "uncalibrated": _uncalibrated(data.y, {entry: probabilities[entry] for entry in voters}),
    }
    return Benchmark(
        rows, probabilities, data.y, fold_of, tuple(splits), data.classes, data.paths, data.specs,
        errors, about, thresholds, groups,
    )  # fmt: skip


def _tuned(cells: Mapping[str, Sequence[Cell]], folds: Sequence[str]) -> dict[str, Any]:
    """What was chosen, by entry and fold, of those classifiers that have something to tune."""
    chosen: dict[str, Any] = {}
    for entry, of_entry in cells.items():
        for fold, cell in zip(folds, of_entry, strict=True):
            if cell.tuned is not None and (cell.tuned.tried or cell.tuned.out_of_time):
                chosen.setdefault(entry, {})[fold] = asdict(cell.tuned)
    return chosen


def _uncalibrated(
    y: NDArray[np.int64], probabilities: Mapping[str, NDArray[np.float64]]
) -> dict[str, float]:
    """The calibration errors of those whose probabilities may not be taken at their word."""
    found = {}
    for entry, p in probabilities.items():
        tested = ~np.isnan(p[:, 0])
        if (error := miscalibration(y[tested], p[tested])) is not None:
            found[entry] = error
    return found


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


def _firsts(values: NDArray[np.str_]) -> NDArray[np.int64]:
    """Where each value comes first, in the order in which they come."""
    places: NDArray[np.int64] = np.sort(np.unique(values, return_index=True)[1])
    return places


def _rows(
    entry: str,
    data: FeatureSet,
    fold: str,
    seed: int,
    test: NDArray[np.int64],
    cell: Cell,
    threshold: float | None,
) -> list[dict[str, Any]]:
    _, _, encoder = entry.partition(" @ ")
    common = {
        "encoder": encoder or " + ".join(spec.title for spec in data.specs),
        "classifier": entry,
        "fold": fold,
        "seed": seed,
    }
    seconds = cell.costs.get("fit_seconds", 0.0) + cell.costs.get("predict_seconds", 0.0)
    # A file is one case however many frames, faces or views it has.
    files = data.files[test]
    p = by_file(cell.test, files.tolist())[1]
    y = data.y[test][_firsts(files)]
    values = {**score(y, p, threshold), **cell.costs}
    return [{**common, "metric": m, "value": v, "seconds": seconds} for m, v in values.items()]
