"""The official split of a data set: fit on train, choose on val, report test."""

import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatWarning, LabelError, UsageError
from clipfeat.evaluate.plan import Plan, Trial
from clipfeat.evaluate.protocols import KFold, Protocol, labelled_rows, repeated, trial_seeds
from clipfeat.evaluate.splits import RowMask
from clipfeat.features import FeatureSet
from clipfeat.features.official_parts import SPLIT, official_part

Parts = NDArray[np.str_]
"""``"train"``, ``"val"`` or ``"test"`` for each row, or ``""`` for another value."""

TITLES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class OfficialSplit(Protocol):
    """Protocol that fits on the training part of a data set and scores its test part.

    Thresholds, learned votes and the best entry are chosen on the validation images. Parameter
    searches and calibration use inner folds of the training images. Without validation images,
    thresholds and learned votes use inner folds of the training images too. Without test images,
    the validation images are tested, and nothing is chosen on them. The caveats of the plan say so.

    Parameters
    ----------
    column : str
        Name of a column with the values ``"train"`` and ``"test"``, and optionally ``"val"``. The
        spellings of `clipfeat.features.official_parts.PART_NAMES` are accepted in any case.
    train_on_validation : bool
        Train on the validation images too. Thresholds and learned votes are then chosen on inner
        folds of the training and validation images.
    repeats : int
        Number of repetitions, each with a different seed.
    """

    column: str = SPLIT
    train_on_validation: bool = False
    repeats: int = 1

    def plan(self, features: FeatureSet, random_state: int = 0) -> Plan:
        """Make one fold of the rows that the column assigns to training and test.

        See `Protocol.plan`. Copies of test images (same bytes) are left out of the training and
        validation sets. Copies of validation images are left out of the training set.

        Warns
        -----
        ClipfeatWarning
            If copies are left out.
        """
        data = labelled_rows(features)
        parts = _complete_parts(data, self.column)
        reported = "test" if "test" in parts else "val"
        if self.train_on_validation:
            if reported == "val":
                raise UsageError(
                    f"column {self.column!r} has no test images, so the val images are tested "
                    "and cannot be trained on. Leave out train_on_validation"
                )
            parts = np.where(parts == "val", "train", parts)
        test = parts == reported
        val = _without_copies(data, (parts == "val") & ~test, test, "val", reported)
        train = _without_copies(data, parts == "train", test, "train", reported)
        caveats: list[str] = []
        if val.any() and len(np.unique(data.y[val])) < 2:
            caveats.append(
                f"The {_files(data, val)} val images are of one class and are not used. Thresholds "
                "and votes are chosen inside the training images."
            )
            val &= False
        train = _without_copies(data, train, val, "train", "val")
        _check_classes(data, train, test, self.column)
        if val.any():
            caveats.append(
                f"The best entry, thresholds and learned votes are chosen on {_files(data, val)} "
                "val images. Parameter searches and calibration use the training images. The "
                f"scores are those of {_files(data, test)} test images."
            )
        elif reported == "val":
            caveats.append(
                f"Column {self.column} has no test images, so the scores are those of its val "
                "images. In this run, thresholds, votes and parameters are chosen inside the "
                "training images. The scores are optimistic if other choices were made on val."
            )
        used = train | val | test
        rows = {name: np.flatnonzero(mask[used]) for name, mask in
                {"train": train, "val": val, "test": test}.items()}  # fmt: skip
        chosen = rows["val"] if val.any() else None
        seeds = trial_seeds(self.repeats, random_state)
        split = {reported: (rows["train"], rows["test"])}
        return Plan(
            f"official split in column {self.column} ({self._steps(bool(val.any()), reported)})"
            f"{repeated(seeds)}",
            data.take(used),
            [Trial(split, seed, validation=chosen) for seed in seeds],
            caveats=caveats,
        )

    def _steps(self, chooses: bool, reported: str) -> str:
        fitted = "train and val" if self.train_on_validation else "train"
        return f"fit on {fitted}, {'choose on val, ' if chooses else ''}report {reported}"


def default_protocol(features: FeatureSet, repeats: int = 1) -> Protocol:
    """Return the official split if the features have one, or 5-fold cross-validation.

    Parameters
    ----------
    features : FeatureSet
        Labelled images.
    repeats : int
        Number of repetitions.

    Warns
    -----
    ClipfeatWarning
        As in `has_official_split`.
    """
    if has_official_split(features):
        return OfficialSplit(repeats=repeats)
    return KFold(repeats=repeats)


def has_official_split(features: FeatureSet) -> bool:
    """Return whether the column ``"split"`` holds an official split that can be used.

    Every labelled image must be in the training, validation or test set. There must be training
    images, and test or validation images.

    Warns
    -----
    ClipfeatWarning
        If the column marks these sets but the split cannot be used. Either some labelled images
        are in none of the sets, or all images of the training or tested set have the same class.
    """
    if SPLIT not in features.columns:
        return False
    labelled = features.y >= 0
    parts = official_parts(features, SPLIT)
    reported = "test" if (labelled & (parts == "test")).any() else "val"
    of_part = {part: features.y[labelled & (parts == part)] for part in ("train", reported)}
    if not all(len(y) for y in of_part.values()):
        return False
    one_class = [part for part, y in of_part.items() if len(np.unique(y)) < 2]
    without = int((labelled & (parts == "")).sum())
    if not one_class and not without:
        return True
    reason = (
        f"its {one_class[0]} images are of one class"
        if one_class
        else f"{without} images are in none of its parts train, val and test"
    )
    warnings.warn(
        f"the official split in column {SPLIT!r} is not used, because {reason}. Correct the column",
        ClipfeatWarning,
        stacklevel=3,
    )
    return False


def without_test(features: FeatureSet, column: str | None) -> FeatureSet:
    """Leave out the test images of an official split.

    Parameters
    ----------
    features : FeatureSet
        Labelled images.
    column : str, optional
        Name of a column, as in `OfficialSplit`. If it is None, no images are left out. If the
        column ``"split"`` is named but holds no usable split, no images are left out either.

    Raises
    ------
    UsageError
        If any other column is given, and it holds no official split.
    """
    if column is None or (column == SPLIT and not has_official_split(features)):
        return features
    return features.take(_complete_parts(features, column) != "test")


def official_parts(features: FeatureSet, column: str) -> Parts:
    """Return the part of each row, by the values of a column."""
    return np.array([official_part(value) for value in features.column(column).tolist()], np.str_)


def _complete_parts(features: FeatureSet, column: str) -> Parts:
    """Return the part of each row, and check that every row has one.

    Raises
    ------
    UsageError
        If a value is missing or unknown. If no row is for training, or none for test or validation.
    """
    parts = official_parts(features, column)
    unknown = Counter(features.column(column)[parts == ""].tolist())
    if unknown:
        counts = ", ".join(f"{n} {value!r}" for value, n in unknown.most_common(5))
        raise UsageError(
            f"column {column!r} must be train, val or test for every image, got {counts}. Correct "
            "the column, or pass another column"
        )
    present = Counter(parts.tolist())
    missing = "train" if not present["train"] else "test" if len(present) == 1 else ""
    if missing:
        counts = ", ".join(f"{n} {value}" for value, n in present.items() if n)
        raise UsageError(
            f"column {column!r} has no {missing} images ({counts}). Correct the column, or pass "
            "another column"
        )
    return parts


def _files(features: FeatureSet, rows: RowMask) -> int:
    return len(np.unique(features.files[rows]))


def _without_copies(
    features: FeatureSet, rows: RowMask, others: RowMask, part: str, other: str
) -> RowMask:
    """Leave out the files of a set that have an image with the same bytes in another set."""
    if not features.specs:
        return rows
    same = np.unique(features.files[rows & np.isin(features.keys, features.keys[others])])
    if not len(same):
        return rows
    warnings.warn(
        f"{len(same)} {TITLES[part]} images are also in the {TITLES[other]} set (same bytes). They "
        f"are left out of the {TITLES[part]} set.",
        ClipfeatWarning,
        stacklevel=4,
    )
    kept: RowMask = rows & ~np.isin(features.files, same)
    return kept


def _check_classes(features: FeatureSet, train: RowMask, test: RowMask, column: str) -> None:
    """Check that the training set has two or more classes, and every class of the test set."""
    trained = set(features.labels[train].tolist())
    missing = sorted(set(features.labels[test].tolist()) - trained)
    if len(trained) > 1 and not missing:
        return
    raise LabelError(
        f"the train images of column {column!r} have only the classes {', '.join(sorted(trained))}"
        + (f". The test images also have {', '.join(missing)}" if missing else "")
        + ". Train on two or more classes, and on every class of the test set"
    )
