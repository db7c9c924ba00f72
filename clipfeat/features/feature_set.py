"""The joint of the two halves: features with their labels, on their way to a classifier.

Rows are images, columns are features; the columns of several encoders stand side by side, each
encoder's slice named by its spec. Nothing here knows where pixels came from or what learns on them.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatWarning, DataError, LabelError, unknown_name
from clipfeat.spec import EncoderSpec, check_same, titles

if TYPE_CHECKING:
    import pandas as pd

Strings = NDArray[np.str_]

TEST = "test:"
"""Before a path of `stack`."""


@dataclass(frozen=True)
class Failure:
    """An image that gave no row.

    Parameters
    ----------
    path : str
        Its path, relative to the source's root.
    reason : str
        The class of what went wrong: the name of an `ImageError` or ``"EncodingError"``.
    message : str
        What went wrong.
    key : bytes
        Digest of its bytes, 16 bytes; empty where they could not be read.
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
        Finite.
    y : ndarray of shape (n_samples,), int64
        Index into `classes`; -1 where the label is unknown.
    classes : tuple of str
        Names of the classes. The last of two is the positive one.
    paths : ndarray of shape (n_samples,), str
        Unique within a set.
    keys : ndarray of shape (n_samples,), ``S32``
        Hexadecimal digests of the images' bytes.
    groups : ndarray of shape (n_samples,), str, or None
        Rows of one group are never parted by a split.
    specs : tuple of EncoderSpec
        One for each encoder, in the order of their columns.
    columns : mapping of str to ndarray of shape (n_samples,), str
        Whatever else the source said of each image, ``split`` among it.
    failures : tuple of Failure
        Images of the same source that gave no row.

    Raises
    ------
    DataError
        If shapes disagree, a value is not finite, or a label points at no class.

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

    def __post_init__(self) -> None:
        n = len(self.X)
        if self.X.ndim != 2:
            raise DataError(f"X must be (n_samples, n_features), got shape {self.X.shape}")
        rows = {"y": self.y, "paths": self.paths, "keys": self.keys, "groups": self.groups}
        for name, values in [*rows.items(), *self.columns.items()]:
            if values is not None and values.shape != (n,):
                raise DataError(f"{name} must have shape ({n},) as X has rows, got {values.shape}")
        if self.specs and sum(s.n_features for s in self.specs) != self.X.shape[1]:
            widths = [s.n_features for s in self.specs]
            raise DataError(f"encoders of {widths} features do not make {self.X.shape[1]} columns")
        if n and not (self.y.min() >= -1 and self.y.max() < len(self.classes)):
            raise DataError(f"labels must be in [-1, {len(self.classes)}), got {set(self.y)}")
        if not np.isfinite(self.X).all():
            row = int(np.flatnonzero(~np.isfinite(self.X).all(axis=1))[0])
            raise DataError(f"features must be finite; row {row} ({self.paths[row]}) is not")

    @classmethod
    def from_arrays(
        cls,
        X: object,
        labels: Sequence[object],
        groups: Sequence[object] | None = None,
    ) -> "FeatureSet":
        """Wrap arrays that came from elsewhere; a row's number serves as its path and key.

        An empty label is an unknown one.
        """
        matrix = np.ascontiguousarray(X, dtype=np.float32)
        classes, y = encode_labels([str(label) for label in labels])
        paths = np.array([str(i) for i in range(len(matrix))], dtype=np.str_)
        return cls(
            X=matrix,
            y=y,
            classes=classes,
            paths=paths,
            keys=np.char.encode(np.char.zfill(paths, 32), "ascii"),
            groups=None if groups is None else np.array([str(g) for g in groups], dtype=np.str_),
        )

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        counts = [f"{name} {int((self.y == i).sum())}" for i, name in enumerate(self.classes)]
        return (
            f"FeatureSet({len(self)} images × {self.X.shape[1]} features by "
            f"{' + '.join(titles(self.specs)) or 'no encoder'}; {', '.join(counts) or 'no labels'})"
        )

    @property
    def slices(self) -> dict[str, slice]:
        """The columns of each encoder, by its title; see `clipfeat.spec.titles`."""
        ends = np.cumsum([spec.n_features for spec in self.specs]).tolist()
        return {
            title: slice(end - spec.n_features, end)
            for title, spec, end in zip(titles(self.specs), self.specs, ends, strict=True)
        }

    def narrowed(self, layers: str) -> "FeatureSet":
        """Only some layers' columns.

        Parameters
        ----------
        layers : str
            With commas; see `EncoderSpec.narrowed`. Encoders of one part keep it.

        Raises
        ------
        UnknownNameError
            If an encoder of several parts has no such layer.
        """
        specs = tuple(spec.narrowed(layers) for spec in self.specs)
        return replace(self, X=self.columns_of(specs), specs=specs)

    def columns_of(self, specs: Sequence[EncoderSpec]) -> NDArray[np.float32]:
        """The columns of encoders, or of some layers of them, in the order of `specs`.

        Raises
        ------
        FingerprintError
            If these are not the encoders of this set; the message says what differs.
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
        """What no split may part: groups, and equal images; None where every row stands alone.

        Rows of one group stand together, and so do rows of one file, and rows of equal bytes: what
        is linked by any of these is one.
        """
        keys, of_key = np.unique(self.keys, return_inverse=True)
        links = [self.groups] if self.groups is not None else []
        if "file" in self.columns:
            links.append(self.files)
        if not links or not len(self):
            return self.keys.astype(np.str_) if len(keys) < len(self) else None
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        # A graph of keys, groups and files, an edge for each row that is in one.
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
        together: Strings = component[of_key].astype(np.str_)
        return together

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "FeatureSet":
        """The given rows, by a mask or by their numbers."""
        return replace(
            self,
            X=self.X[rows],
            y=self.y[rows],
            paths=self.paths[rows],
            keys=self.keys[rows],
            groups=None if self.groups is None else self.groups[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def labelled(self) -> "FeatureSet":
        """The rows that have a label, ready to be learned from.

        Raises
        ------
        LabelError
            If no row has a label, or all have the same.
        """
        present = np.unique(self.y[self.y >= 0])
        if not len(present):
            raise LabelError(
                f"none of the {len(self)} images has a label: put the images of each class into a "
                "folder of its name, or give --labels CSV to `clipfeat embed`"
            )
        if len(present) == 1:
            raise LabelError(
                f"all {int((self.y >= 0).sum())} labelled images are of one class "
                f"({self.classes[present[0]]!r}); a classifier needs two or more"
            )
        self._warn_of_contradictions()
        code = np.full(len(self.classes) + 1, -1, dtype=np.int64)
        code[present] = np.arange(len(present))
        kept = (
            self
            if len(present) == len(self.classes) and self.y.min() >= 0
            else self.take(self.y >= 0)
        )
        return replace(kept, y=code[kept.y], classes=tuple(self.classes[i] for i in present))

    def _warn_of_contradictions(self) -> None:
        """Say when the same bytes have two labels: one of them is wrong, or stale."""
        known = self.y >= 0
        pairs = set(zip(self.keys[known].tolist(), self.y[known].tolist(), strict=True))
        if n := len(pairs) - len({key for key, _ in pairs}):
            warnings.warn(
                f"{n} images are there under two labels, byte for byte the same; if they were "
                "moved between folders, `clipfeat embed … --prune` forgets where they were",
                ClipfeatWarning,
                stacklevel=3,
            )

    def column(self, name: str) -> Strings:
        """One value for each row: ``group``, ``label``, ``path`` or a column of the source.

        Raises
        ------
        UnknownNameError
            If there is no such column; the message lists those there are.
        """
        known: dict[str, Strings] = {**self.columns, "label": self.labels, "path": self.paths}
        if self.groups is not None:
            known["group"] = self.groups
        if name not in known:
            raise unknown_name("column", name, known)
        return known[name]

    @property
    def files(self) -> Strings:
        """The file that each row is of: its own path, or the file whose part it is."""
        of = self.columns.get("file", self.paths)
        return np.where(of == "", self.paths, of)

    def grouped_by(self, name: str) -> "FeatureSet":
        """The same rows with the values of a column as their groups; see `column`."""
        return replace(self, groups=self.column(name))

    def ungrouped(self) -> "FeatureSet":
        """The same rows with no groups but what cannot be parted: the parts of one file."""
        return replace(self, groups=self.files if "file" in self.columns else None)

    @property
    def labels(self) -> Strings:
        """The name of each row's class; empty where it is unknown."""
        return np.array([*self.classes, ""], dtype=np.str_)[self.y]

    def to_pandas(self) -> "pd.DataFrame":
        """One row an image: path, key, label, group, columns, then a column for each feature."""
        import pandas as pd

        own: dict[str, object] = {
            "path": self.paths,
            "key": self.keys.astype(np.str_),
            "label": self.labels,
            "group": self.groups if self.groups is not None else "",
        }
        about = {**own, **self.columns, **own}  # in this order, and never a column of that name
        names = [f"{s.name}.{i}" for s in self.specs for i in range(s.n_features)]
        values = pd.DataFrame(self.X, columns=names or [f"f{i}" for i in range(self.X.shape[1])])
        return pd.concat([pd.DataFrame(about), values], axis=1)


# Sorted as text, these pairs would call the photographs positive.
_POSITIVE_FIRST = {("fake", "real"), ("ai", "nature"), ("ai", "real"), ("generated", "real")}


def order_classes(names: set[str]) -> tuple[str, ...]:
    """Put class names in their order: sorted, numbers by value, what is generated last.

    The last of two classes is the positive one, and in detection that is the generated one.

    Examples
    --------
    >>> order_classes({"10", "9"}), order_classes({"real", "fake"})
    (('9', '10'), ('real', 'fake'))
    """
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    ordered = tuple(sorted(names, key=lambda name: (name.casefold(), name)))
    folded = tuple(name.casefold() for name in ordered)
    return ordered[::-1] if folded in _POSITIVE_FIRST else ordered


def encode_labels(labels: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Order the classes of labels, and turn each label into an index.

    Parameters
    ----------
    labels : sequence of str
        Empty where unknown.

    Returns
    -------
    classes : tuple of str
        Ordered by `order_classes`.
    y : ndarray of shape (n_labels,), int64
        Index into `classes`; -1 for an empty label.

    Examples
    --------
    >>> encode_labels(["fake", "", "real"])[1].tolist()
    [1, -1, 0]
    """
    classes = order_classes(set(labels) - {""})
    index = {name: i for i, name in enumerate(classes)}
    return classes, np.array([index.get(label, -1) for label in labels], dtype=np.int64)
