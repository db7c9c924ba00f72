"""Joining feature sets: several encoders side by side, or training rows above test rows."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from clipfeat.errors import ClipfeatWarning, DataError, JoinError, LabelError
from clipfeat.features.feature_set import TEST, FeatureSet, Strings, encode_labels


def join(sets: Sequence[FeatureSet]) -> FeatureSet:
    """Put several encoders' features of the same images side by side, by key.

    Parameters
    ----------
    sets : sequence of FeatureSet
        Each of one encoder, none twice. Rows, their order, labels and groups are the first's; a
        label that the first lacks is taken from a later one.

    Returns
    -------
    FeatureSet
        The images that every set holds, warning of any that are not in all.

    Raises
    ------
    JoinError
        If an encoder comes twice, no image is in all, or labels of one image contradict.
    """
    first, *others = sets
    if not others:
        return first
    specs = tuple(spec for one in sets for spec in one.specs)
    prints = [spec.fingerprint for spec in specs]
    if len(set(prints)) < len(prints):
        raise JoinError(
            f"the same encoder comes twice ({', '.join(s.title for s in specs)}); join features "
            "of different encoders, of the same images"
        )
    rows = [np.arange(len(first))]
    common = np.ones(len(first), dtype=bool)
    for other in others:
        by_key = {key: i for i, key in enumerate(other.keys.tolist())}
        # The very same file where there is one, since equal bytes may have two paths and labels.
        names = zip(other.keys.tolist(), other.paths.tolist(), strict=True)
        by_both = {both: i for i, both in enumerate(names)}
        wanted = zip(first.keys.tolist(), first.paths.tolist(), strict=True)
        found = np.array([by_both.get(w, by_key.get(w[0], -1)) for w in wanted], dtype=np.int64)
        common &= found >= 0
        rows.append(found)
    if not common.any():
        raise JoinError(
            f"the feature files hold different images: none of the {len(first)} of "
            f"{specs[0].title} is also in {specs[-1].title}; embed the same source with each"
        )
    if not common.all() or any(len(set(o.keys.tolist())) > common.sum() for o in others):
        counts = ", ".join(f"{len(one)} of {one.specs[0].title}" for one in sets if one.specs)
        warnings.warn(
            f"joined by image: {int(common.sum())} are in all ({counts}); the others are left out",
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
                f"'{labels[row]}' and '{theirs[row]}'; give every file the same labels"
            )
        labels = np.where(labels == "", theirs, labels)
    classes, y = encode_labels(labels.tolist())
    return replace(
        taken[0],
        X=np.hstack([one.X for one in taken]),
        y=y,
        classes=classes,
        specs=specs,
        failures=tuple(failure for one in sets for failure in one.failures),
    )


def stack(train: FeatureSet, test: FeatureSet) -> tuple[FeatureSet, int]:
    """Put images to train on and images to test on one below the other, by the same encoders.

    Rows without a label are left out, and of the training the files whose image, or a part or view
    of it, is in the test as well, with a warning; of arrays from elsewhere nobody can tell. Where a
    file is in both, the test's paths begin with `TEST`. Columns and groups of one side alone are
    empty on the other.

    Returns
    -------
    both : FeatureSet
        Training rows first.
    n_train : int
        How many these are.

    Raises
    ------
    FingerprintError
        If the encoders differ.
    DataError
        If arrays differ in their number of columns.
    LabelError
        If the test has no label, or a class that is not left in the training.
    """
    test = replace(test, X=test.columns_of(train.specs), specs=train.specs)
    if test.X.shape[1] != train.X.shape[1]:
        raise DataError(
            f"the test has {test.X.shape[1]} features, and the training {train.X.shape[1]}"
        )
    test = test.take(test.y >= 0)
    train = train.take(train.y >= 0)
    if train.specs:
        same = train.files[np.isin(train.keys, test.keys)]
        kept = ~np.isin(train.files, same)
        if not kept.all():
            warnings.warn(
                f"{len(np.unique(same))} images of the training are in the test, byte for byte the "
                "same: they are left out of the training",
                ClipfeatWarning,
                stacklevel=3,
            )
        train = train.take(kept)
    strange = sorted(set(test.labels.tolist()) - set(train.labels.tolist()))
    if strange or not len(test):
        what = f"classes {', '.join(strange)}, which" if strange else "no label, and"
        raise LabelError(f"the test has {what} the training ({len(train)} images) does not have")
    classes, y = encode_labels([label for part in (train, test) for label in part.labels.tolist()])
    in_both = np.isin(test.paths, train.paths) | np.isin(test.files, train.files)
    in_both = np.isin(test.files, test.files[in_both])  # a file is marked in all its rows
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
