"""The feature set: features with labels, the interface between encoders and classifiers.

Rows are images and columns are features. The columns of several encoders are side by side, and a
spec describes the columns of each encoder. This module depends on neither images nor classifiers.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatWarning, DataError, LabelError, unknown_name
from clipfeat.features.classes import order_classes, positive_class, positive_last
from clipfeat.features.column_names import find_column
from clipfeat.features.label_text import check_spellings, count_texts, one_spelling
from clipfeat.spec import EncoderSpec, check_same, titles
from clipfeat.system.escaping import terminal_text

if TYPE_CHECKING:
    import pandas as pd

Strings = NDArray[np.str_]

TEST = "test:"
"""Prefix that `stack` adds to a test path that is also a training path."""


@dataclass(frozen=True)
class Failure:
    """Image without a row in a feature set, and the reason.

    Parameters
    ----------
    path : str
        Path relative to the source's root.
    reason : str
        Name of the error's class: a subclass of `ImageError`, or ``"EncodingError"``.
    message : str
        Message of the error.
    key : bytes
        Content hash of 16 bytes. Empty if the image could not be read.
    """

    path: str
    reason: str
    message: str
    key: bytes = b""


@dataclass(frozen=True, eq=False, repr=False)
class FeatureSet:
    """Features, labels and groups of the same images, validated.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
        Features. All values are finite.
    y : ndarray of shape (n_samples,), int64
        Class of each row, as an index into `classes`; -1 for an unknown label.
    classes : tuple of str
        Names of the classes. If there are two, the last one is the positive class.
    paths : ndarray of shape (n_samples,), str
        Path of each image, unique within the set.
    keys : ndarray of shape (n_samples,), ``S32``
        Content hashes of the images, in hexadecimal.
    groups : ndarray of shape (n_samples,), str, or None
        Group of each row. Splits keep the rows of a group together.
    specs : tuple of EncoderSpec
        The spec of each encoder, in the order of their columns.
    columns : mapping of str to ndarray of shape (n_samples,), str
        Further columns of the source, such as ``split``.
    failures : tuple of Failure
        Images of the same source that have no row.
    weight_files : mapping of str to str
        Name of the local weight file, by the digest of the weights. The names are only displayed.

    Raises
    ------
    DataError
        If shapes disagree, a value is not finite, or a label is out of range.

    Examples
    --------
    >>> features = FeatureSet.from_arrays([[0.0, 1.0], [2.0, 3.0]], ["cat", "dog"])
    >>> features.classes, features.y.tolist()
    (('cat', 'dog'), [0, 1])
    """

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    paths: Strings
    keys: NDArray[np.bytes_]
    groups: Strings | None = None
    specs: tuple[EncoderSpec, ...] = ()
    columns: Mapping[str, Strings] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    weight_files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.X)
        if self.X.ndim != 2:
            raise DataError(
                f"X must have the shape (n_samples, n_features), got {self.X.shape}. Pass one row "
                "for each image."
            )
        rows = {"y": self.y, "paths": self.paths, "keys": self.keys, "groups": self.groups}
        for name, values in [*rows.items(), *self.columns.items()]:
            if values is not None and values.shape != (n,):
                raise DataError(
                    f"{name} has the shape {values.shape}, but X has {n} rows. Pass one value for "
                    "each row of X."
                )
        if self.specs and sum(s.n_features for s in self.specs) != self.X.shape[1]:
            widths = [s.n_features for s in self.specs]
            raise DataError(
                f"the specs describe {' + '.join(map(str, widths))} columns, but X has "
                f"{self.X.shape[1]}. Pass the spec of each encoder in the order of the columns."
            )
        if n and not (self.y.min() >= -1 and self.y.max() < len(self.classes)):
            raise DataError(
                f"y has values from {self.y.min()} to {self.y.max()}, but there are "
                f"{len(self.classes)} classes. Pass indices of classes, or -1 for an unknown label."
            )
        if not np.isfinite(self.X).all():
            row = int(np.flatnonzero(~np.isfinite(self.X).all(axis=1))[0])
            raise DataError(
                f"features must be finite, but row {row} ({self.paths[row]}) has an infinite or "
                "NaN value. Compute it again, or leave the row out."
            )

    @classmethod
    def from_arrays(
        cls,
        X: object,
        labels: Sequence[object],
        groups: Sequence[object] | None = None,
    ) -> "FeatureSet":
        """Make a feature set from arrays that do not come from a feature file.

        The number of a row serves as its path and key, and the set has no encoder.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, converted to float32.
        labels : sequence of shape (n_samples,)
            Class names, converted to str. An empty label is unknown.
        groups : sequence of shape (n_samples,), optional
            Group of each row, converted to str.

        Raises
        ------
        DataError
            If shapes disagree, or a value is not finite.
        """
        matrix = np.ascontiguousarray(X, dtype=np.float32)
        classes, y = encode_labels([str(label) for label in labels])
        paths = np.array([str(i) for i in range(len(matrix))], dtype=np.str_)
        return cls(
            X=matrix,
            y=y,
            classes=classes,
            paths=paths,
            keys=np.array([f"{i:032d}" for i in range(len(matrix))], dtype="S32"),
            groups=None if groups is None else np.array([str(g) for g in groups], dtype=np.str_),
        )

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        counts = count_texts(
            {name: int((self.y == i).sum()) for i, name in enumerate(self.classes)}
        )
        return terminal_text(
            f"FeatureSet({len(self)} images × {self.X.shape[1]} features by "
            f"{' + '.join(titles(self.specs)) or 'no encoder'}; {', '.join(counts) or 'no labels'})"
        )

    def _repr_html_(self) -> str:
        """Return a card for notebooks with the classes."""
        from clipfeat.features.feature_set_html import feature_set_html

        return feature_set_html(self)

    @property
    def slices(self) -> dict[str, slice]:
        """Columns of each encoder as a slice, by the encoder's title (`clipfeat.spec.titles`)."""
        ends = np.cumsum([spec.n_features for spec in self.specs]).tolist()
        return {
            title: slice(end - spec.n_features, end)
            for title, spec, end in zip(titles(self.specs), self.specs, ends, strict=True)
        }

    def narrowed(self, layers: str) -> "FeatureSet":
        """Return the set with the columns of some layers only.

        Parameters
        ----------
        layers : str
            Names separated by commas, as in `EncoderSpec.narrowed`. An encoder with a single layer
            keeps this layer.

        Raises
        ------
        UnknownNameError
            If an encoder with several layers lacks one of the given layers.
        """
        specs = tuple(spec.narrowed(layers) for spec in self.specs)
        return replace(self, X=self.columns_of(specs), specs=specs)

    def columns_of(self, specs: Sequence[EncoderSpec]) -> NDArray[np.float32]:
        """Return the columns of the given encoders, or of some of their layers.

        Parameters
        ----------
        specs : sequence of EncoderSpec
            Specs of this set, in any order. Each may be restricted to some of its layers.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            The columns, in the order of `specs`.

        Raises
        ------
        FingerprintError
            If `specs` differ from the encoders of the features. The message lists the differences.
        """
        if tuple(specs) == self.specs:
            return self.X
        place = dict(zip(self.specs, self.slices.values(), strict=True))
        sources = [next((s for s in self.specs if spec.is_part_of(s)), spec) for spec in specs]
        if set(sources) != set(self.specs):
            check_same(specs, self.specs)
        parts = [
            self.X[:, place[source]][:, source.slices[part]]
            for spec, source in zip(specs, sources, strict=True)
            for part in spec.parts
        ]
        return np.hstack(parts)

    @property
    def split_groups(self) -> Strings | None:
        """Groups for splitting, or None if every row is its own group.

        Two rows are in the same group if they have the same group, file or content hash. They are
        also in the same group if a chain of such rows connects them.
        """
        keys, of_key = np.unique(self.keys, return_inverse=True)
        links = [self.groups] if self.groups is not None else []
        if "file" in self.columns:
            links.append(self.files)
        if not links or not len(self):
            return self.keys.astype(np.str_) if len(keys) < len(self) else None
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        # A graph of keys, groups and files. Each row is an edge from its key to its group or file.
        ends: list[NDArray[np.int64]] = []
        starts: list[NDArray[np.int64]] = []
        size = len(keys)
        for link in links:
            names, of_name = np.unique(link, return_inverse=True)
            linked = link != ""
            starts.append(of_key[linked])
            ends.append(size + of_name[linked])
            size += len(names)
        edges = (np.concatenate(starts), np.concatenate(ends))
        graph = coo_array((np.ones(len(edges[0])), edges), shape=(size, size))
        _, component = connected_components(graph, directed=False)
        groups: Strings = component[of_key].astype(np.str_)
        return groups

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "FeatureSet":
        """Select rows by a mask or by their indices. Failures are kept."""
        return replace(
            self,
            X=self.X[rows],
            y=self.y[rows],
            paths=self.paths[rows],
            keys=self.keys[rows],
            groups=None if self.groups is None else self.groups[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def in_content_order(self) -> "FeatureSet":
        """Sort the rows by content hash, so that results do not depend on the order of a file.

        Identical images are sorted by label, then by path. A set that is sorted already is returned
        unchanged.
        """
        if (self.keys[1:] > self.keys[:-1]).all():
            return self
        order = np.lexsort((self.paths, self.y, self.keys))
        return self if (order[1:] > order[:-1]).all() else self.take(order)

    def labelled(self, positive: str | None = None) -> "FeatureSet":
        """Select the labelled rows, and the classes that have a labelled row.

        Parameters
        ----------
        positive : str, optional
            Name of the positive class; see `with_positive`.

        Warns
        -----
        ClipfeatWarning
            If identical images have different labels.

        Raises
        ------
        LabelError
            If no row has a label. If all labelled rows are of one class. If the names of two
            classes differ only in capitals or spaces; see `merged_labels`.
        UnknownNameError, UsageError
            As in `with_positive`.
        """
        check_spellings(self.label_counts, "the features")
        present = np.unique(self.y[self.y >= 0])
        if not len(present):
            raise LabelError(
                f"none of the {len(self)} images has a label. Put the images of each class into a "
                "folder named after the class, or pass --labels to `clipfeat embed`."
            )
        if len(present) == 1:
            raise LabelError(
                f"all {int((self.y >= 0).sum())} labelled images have the class "
                f"{self.classes[present[0]]!r}. Add images of a second class."
            )
        self._warn_of_contradictions()
        classes = tuple(self.classes[i] for i in present)
        if len(classes) == 2 < len(self.classes):
            classes = order_classes(classes)
        code = np.full(len(self.classes) + 1, -1, dtype=np.int64)
        code[present] = [classes.index(self.classes[i]) for i in present]
        kept = (
            self
            if len(present) == len(self.classes) and self.y.min() >= 0
            else self.take(self.y >= 0)
        )
        known = replace(kept, y=code[kept.y], classes=classes)
        return known if positive is None else known.with_positive(positive)

    @property
    def positive(self) -> str | None:
        """The positive class: the last of two classes. None for other numbers of classes."""
        return positive_class(self.classes)

    def with_positive(self, name: str) -> "FeatureSet":
        """Return the set with the given class as the positive class.

        The false positive rate, the average precision and the decision threshold refer to the
        positive class.

        Parameters
        ----------
        name : str
            One of the two classes.

        Raises
        ------
        UnknownNameError
            If there is no such class. The message lists the classes.
        UsageError
            If there are not exactly two classes.

        Examples
        --------
        >>> features = FeatureSet.from_arrays([[0.0], [1.0]], ["cat", "dog"])
        >>> features.positive, features.with_positive("cat").positive
        ('dog', 'cat')
        """
        classes = positive_last(self.classes, name)
        if classes == self.classes:
            return self
        return replace(self, y=np.where(self.y >= 0, 1 - self.y, self.y), classes=classes)

    def _warn_of_contradictions(self) -> None:
        """Warn about identical images with different labels: one label is wrong or outdated."""
        known = self.y >= 0
        pairs = set(zip(self.keys[known].tolist(), self.y[known].tolist(), strict=True))
        if n := len(pairs) - len({key for key, _ in pairs}):
            warnings.warn(
                f"{n} images occur under two labels (same bytes). If they were moved between "
                "folders, run `clipfeat embed` with --prune to drop the old rows.",
                ClipfeatWarning,
                stacklevel=3,
            )

    @property
    def label_counts(self) -> dict[str, int]:
        """Number of rows of each class that has rows. Unlabelled rows are not counted."""
        numbers = np.bincount(self.y[self.y >= 0], minlength=len(self.classes)).tolist()
        return {name: n for name, n in zip(self.classes, numbers, strict=True) if n}

    def renamed_classes(self, names: Mapping[str, str]) -> "FeatureSet":
        """Rename classes, and merge classes that get the same name.

        Parameters
        ----------
        names : mapping of str to str
            New name of each class, by its current name. Other classes keep their names.
        """
        renamed = [names.get(name, name) for name in self.classes]
        if tuple(renamed) == self.classes:
            return self
        classes = order_classes(set(renamed))
        code = np.array([*map(classes.index, renamed), -1], dtype=np.int64)
        return replace(self, y=code[self.y], classes=classes)

    def merged_labels(self, like: Sequence[str] = ()) -> "FeatureSet":
        """Merge classes whose names differ only in capitals or spaces.

        Parameters
        ----------
        like : sequence of str
            Spellings to prefer, such as the classes of a training set. Otherwise, a class gets its
            most frequent spelling.

        Examples
        --------
        >>> features = FeatureSet.from_arrays([[0.0], [1.0], [2.0]], ["cat", "Cat", "cat"])
        >>> features.merged_labels().classes
        ('cat',)
        """
        return self.renamed_classes(one_spelling(self.label_counts, like))

    def column(self, name: str) -> Strings:
        """Return the values of a column.

        Parameters
        ----------
        name : str
            ``"label"``, ``"path"``, ``"group"`` if the set has groups, or a name in `columns`. See
            `clipfeat.features.column_names` for reserved names.

        Returns
        -------
        ndarray of shape (n_samples,), str

        Raises
        ------
        UnknownNameError
            If the column is unknown. The message lists the known columns.
        """
        known: dict[str, Strings] = {**self.columns, "label": self.labels, "path": self.paths}
        if self.groups is not None:
            known["group"] = self.groups
        column = find_column(name, known)
        if column is None:
            raise unknown_name("column", name, known)
        return known[column]

    @property
    def files(self) -> Strings:
        """File of each row.

        For a frame, face or view, this is the file that contains it. For other rows, this is the
        path of the row.
        """
        of = self.columns.get("file", self.paths)
        return np.where(of == "", self.paths, of)

    def grouped_by(self, name: str) -> "FeatureSet":
        """Return the set with the values of a column (see `column`) as groups."""
        return replace(self, groups=self.column(name))

    def ungrouped(self) -> "FeatureSet":
        """Return the set without groups. The parts of a file still form a group."""
        return replace(self, groups=self.files if "file" in self.columns else None)

    def near_duplicates_grouped(self) -> "FeatureSet":
        """Return the set with near duplicates in one group, so that they share a fold.

        A new group is a connected component of the old groups and the pairs of near duplicates. The
        set needs features of an encoder with trained weights, or of arrays. See
        `clipfeat.features.near_duplicates` for the definition and the cost.

        Raises
        ------
        DataError
            If there are no such features, or fewer than 20 distinct files.

        Examples
        --------
        >>> X = np.random.default_rng(0).normal(size=(40, 32))
        >>> X[7] = X[3] + 0.01
        >>> features = FeatureSet.from_arrays(X, ["cat", "dog"] * 20).near_duplicates_grouped()
        >>> bool(features.groups[3] == features.groups[7])
        True
        """
        from clipfeat.features.near_duplicates import groups_with, near_duplicates

        return replace(self, groups=groups_with(self, near_duplicates(self)))

    @property
    def labels(self) -> Strings:
        """Class name of each row; empty if the label is unknown."""
        return np.array([*self.classes, ""], dtype=np.str_)[self.y]

    def to_pandas(self) -> "pd.DataFrame":
        """Make a table with one row per image.

        Returns
        -------
        DataFrame
            The columns ``path``, ``key``, ``label`` and ``group``, followed by those in `columns`
            and the features.
        """
        import pandas as pd

        own: dict[str, object] = {
            "path": self.paths,
            "key": self.keys.astype(np.str_),
            "label": self.labels,
            "group": self.groups if self.groups is not None else "",
        }
        # The set's own columns come first, and replace further columns of the same name.
        about = {**own, **self.columns, **own}
        names = [f"{s.name}.{i}" for s in self.specs for i in range(s.n_features)]
        values = pd.DataFrame(self.X, columns=names or [f"f{i}" for i in range(self.X.shape[1])])
        return pd.concat([pd.DataFrame(about), values], axis=1)


def encode_labels(
    labels: Sequence[str], like: Sequence[str] = ()
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Sort the class names in labels, and convert each label to a class index.

    Parameters
    ----------
    labels : sequence of str
        Class names. An empty label is unknown.
    like : sequence of str
        Class names in the preferred order, used if they are exactly the classes of the labels.

    Returns
    -------
    classes : tuple of str
        Distinct class names, sorted by `order_classes`, or in the order of `like`.
    y : ndarray of shape (n_labels,), int64
        Index of each label in `classes`; -1 for an empty label.

    Examples
    --------
    >>> encode_labels(["fake", "", "real"])[1].tolist()
    [1, -1, 0]
    """
    present = set(labels) - {""}
    classes = tuple(like) if present == set(like) else order_classes(present)
    index = {name: i for i, name in enumerate(classes)}
    return classes, np.array([index.get(label, -1) for label in labels], dtype=np.int64)
