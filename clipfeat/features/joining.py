"""Join feature sets: several encoders side by side, or training rows above test rows."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from clipfeat.errors import ClipfeatWarning, DataError, JoinError, LabelError
from clipfeat.features.feature_set import TEST, FeatureSet, Strings, encode_labels
from clipfeat.features.label_text import check_spellings, class_names


def join(sets: Sequence[FeatureSet]) -> FeatureSet:
    """Join the features of several encoders by image key.

    The key of an image is its content hash, so identical images share a key. Each row of the first
    set is joined with the row of every other set that has the same key and path. If no row has
    both, a row with the same key is used.

    Parameters
    ----------
    sets : sequence of FeatureSet
        Feature sets of different encoders. The rows, their order, labels and groups come from the
        first set. A label that is missing in the first set comes from a later set.

    Returns
    -------
    FeatureSet
        The images that are in every set, with the features of all encoders.

    Warns
    -----
    ClipfeatWarning
        If some images are not in every set.

    Raises
    ------
    JoinError
        If an encoder occurs twice. If no image is in every set. If an image has two labels.
    """
    first, *others = sets = _with_one_name(sets)
    if not others:
        return first
    specs = tuple(spec for one in sets for spec in one.specs)
    prints = [spec.fingerprint for spec in specs]
    if len(set(prints)) < len(prints):
        raise JoinError(
            f"an encoder occurs twice ({', '.join(s.title for s in specs)}). Join features of "
            "different encoders."
        )
    rows = [np.arange(len(first))]
    common = np.ones(len(first), dtype=bool)
    for other in others:
        by_key = {key: i for i, key in enumerate(other.keys.tolist())}
        # Identical images may have different labels, so the same path is preferred.
        names = zip(other.keys.tolist(), other.paths.tolist(), strict=True)
        by_both = {both: i for i, both in enumerate(names)}
        wanted = zip(first.keys.tolist(), first.paths.tolist(), strict=True)
        indices = np.array([by_both.get(w, by_key.get(w[0], -1)) for w in wanted], dtype=np.int64)
        common &= indices >= 0
        rows.append(indices)
    if not common.any():
        raise JoinError(
            f"the feature files hold different images: none of the {len(first)} images of "
            f"{specs[0].title} is in every file. Embed the same source with each encoder."
        )
    if not common.all() or any(len(set(o.keys.tolist())) > common.sum() for o in others):
        counts = ", ".join(f"{len(one)} of {one.specs[0].title}" for one in sets if one.specs)
        warnings.warn(
            f"{int(common.sum())} images are in every feature file ({counts}). The others are "
            "left out.",
            ClipfeatWarning,
            stacklevel=2,
        )
    taken = [one.take(index[common]) for one, index in zip(sets, rows, strict=True)]
    labels = taken[0].labels.copy()
    for other in taken[1:]:
        theirs = other.labels
        clash = (labels != "") & (theirs != "") & (labels != theirs)
        if clash.any():
            row = int(np.flatnonzero(clash)[0])
            raise JoinError(
                f"{int(clash.sum())} images have two labels, such as {taken[0].paths[row]}: "
                f"'{labels[row]}' and '{theirs[row]}'. Give all feature files the same labels."
            )
        labels = np.where(labels == "", theirs, labels)
    classes, y = encode_labels(labels.tolist(), like=first.classes)
    return replace(
        taken[0],
        X=np.hstack([one.X for one in taken]),
        y=y,
        classes=classes,
        specs=specs,
        failures=tuple(failure for one in sets for failure in one.failures),
        weight_files={digest: name for one in sets for digest, name in one.weight_files.items()},
    )


def _with_one_name(sets: Sequence[FeatureSet]) -> list[FeatureSet]:
    """Rename classes so that ``1``, ``1.0`` and ``True`` have one name in all sets."""
    names = class_names({name for one in sets for name in one.classes})
    return [one.renamed_classes(names) for one in sets]


def _without_groups_of(test: FeatureSet, train: FeatureSet) -> FeatureSet:
    """Leave out the training rows whose group is also in the test set, with a warning."""
    if train.groups is None or test.groups is None:
        return train
    shared = np.isin(train.groups, test.groups) & (train.groups != "")
    if not shared.any():
        return train
    names = np.unique(train.groups[shared])
    about = (
        f"{len(names)} groups are in both the training set and the test set, for example "
        f"{str(names[0])!r}"
    )
    if set(train.y[~shared].tolist()) < set(train.y.tolist()):
        raise LabelError(
            f"{about}. Without their {int(shared.sum())} training images, a class has no training "
            "images. Use groups that are in one set only, or pass --group-col none"
        )
    warnings.warn(
        f"{about}. Their {int(shared.sum())} training images are left out. Pass --group-col none "
        "to ignore groups.",
        ClipfeatWarning,
        stacklevel=4,
    )
    return train.take(~shared)


def stack(train: FeatureSet, test: FeatureSet) -> tuple[FeatureSet, int]:
    """Stack training rows above test rows of the same encoders.

    Unlabelled rows are left out. If any row of a training image or video is identical to a test
    row, all rows of that image or video (its frames, faces and views) are left out. Sets made from
    arrays have no content hashes, so their identical rows are kept. Training rows whose group is
    also in the test set are left out. If a path is in both sets, the path of the test row gets the
    prefix `TEST`. If only one set has groups or a certain column, the rows of the other set get
    empty values.

    Parameters
    ----------
    train, test : FeatureSet
        Features of the same encoders, or arrays with the same number of columns.

    Returns
    -------
    both : FeatureSet
        Training rows, followed by test rows.
    n_train : int
        Number of training rows.

    Warns
    -----
    ClipfeatWarning
        If some training images are identical to test images, or some groups are in both sets.

    Raises
    ------
    FingerprintError
        If the encoders differ.
    DataError
        If the sets come from arrays with different numbers of columns.
    LabelError
        If the test set has no labels. If a class of the test set has no training images. If the
        names of two classes differ only in capitals or spaces. If all groups of a class are in both
        sets.
    """
    train, test = _with_one_name((train, test))
    test = replace(test, X=test.columns_of(train.specs), specs=train.specs)
    if test.X.shape[1] != train.X.shape[1]:
        raise DataError(
            f"the test set has {test.X.shape[1]} features, but the training set has "
            f"{train.X.shape[1]}. Use features of the same encoder."
        )
    test = test.take(test.y >= 0)
    train = train.take(train.y >= 0)
    if train.specs:
        same = train.files[np.isin(train.keys, test.keys)]
        kept = ~np.isin(train.files, same)
        if not kept.all():
            warnings.warn(
                f"{len(np.unique(same))} training images are also in the test set (same bytes). "
                "They are left out of the training set.",
                ClipfeatWarning,
                stacklevel=3,
            )
        train = train.take(kept)
    train = _without_groups_of(test, train)
    if not len(test):
        raise LabelError(
            "no image of the test set has a label. Put the images of each class into a folder "
            "named after the class, or pass --labels to `clipfeat embed`."
        )
    counts = Counter(train.label_counts) + Counter(test.label_counts)
    check_spellings(counts, "the training set and the test set")
    new_classes = sorted(set(test.labels.tolist()) - set(train.labels.tolist()))
    if new_classes:
        raise LabelError(
            f"the test set has the classes {', '.join(new_classes)}, which none of the "
            f"{len(train)} training images has. Train on every class of the test set."
        )
    labels = [label for part in (train, test) for label in part.labels.tolist()]
    classes, y = encode_labels(labels, like=train.classes)
    in_both = np.isin(test.paths, train.paths) | np.isin(test.files, train.files)
    in_both = np.isin(test.files, test.files[in_both])  # all rows of a file get the prefix
    test = replace(
        test,
        paths=np.where(in_both, np.char.add(TEST, test.paths), test.paths),
        columns={
            name: np.where(in_both & (values != ""), np.char.add(TEST, values), values)
            if name == "file"
            else values
            for name, values in test.columns.items()
        },
    )
    parts = (train, test)

    def below(one: Callable[[FeatureSet], Strings | None]) -> Strings:
        columns = [(one(part), len(part)) for part in parts]
        return np.concatenate([np.full(n, "") if of is None else of for of, n in columns])

    both = replace(
        train,
        X=np.vstack([part.X for part in parts]),
        y=y,
        classes=classes,
        paths=np.concatenate([part.paths for part in parts]),
        keys=np.concatenate([part.keys for part in parts]),
        groups=None
        if train.groups is None and test.groups is None
        else below(lambda part: part.groups),
        columns={
            name: below(lambda part, name=name: part.columns.get(name))  # type: ignore[misc]
            for name in dict.fromkeys([*train.columns, *test.columns])
        },
        failures=(*train.failures, *test.failures),
    )
    return both, len(train)
