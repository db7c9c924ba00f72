"""Features read from disk in blocks, in several passes, for data that does not fit in memory.

Labels, groups and keys are in memory, in a `FeatureSet` whose only feature is the row number. The
code for folds, groups, calibration, bagging and voting handles this set like any other feature set,
so it splits row numbers. Only the classifiers read the features, through `StreamedFeatures.rows`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError
from clipfeat.features import FeatureSet
from clipfeat.features.column_names import with_own_files
from clipfeat.features.label_text import class_names
from clipfeat.spec import EncoderSpec
from clipfeat.store.loading import weight_files
from clipfeat.store.reading import open_stored
from clipfeat.system.progress import Phase, Report, silent

SHARE = 0.5
"""Largest share of the available memory that features may take if loaded as float32."""

Block = tuple[slice, NDArray[np.float32]]
"""Slice of positions in a selection of rows, and the features at these positions."""


@dataclass(frozen=True, eq=False, repr=False)
class StreamedFeatures:
    """Features on disk, with the metadata of their rows in memory.

    Parameters
    ----------
    read : callable
        Function that returns an iterable over all rows in order, as blocks of shape
        (n, n_features) and dtype float16 or float32. Each call starts a new pass.
    numbers : FeatureSet
        Labels, groups, keys and columns of the rows. Its single feature is the row number.
    specs : tuple of EncoderSpec
        The spec of the encoder, as a tuple of one.
    columns : ndarray of int, optional
        Indices of the features to use. None uses all features.
    report : callable
        Called with a `Phase` after each block. Its detail is the number of the pass.
    """

    read: Callable[[], Iterable[NDArray[np.floating]]]
    numbers: FeatureSet
    specs: tuple[EncoderSpec, ...]
    columns: NDArray[np.int64] | None = None
    report: Report = silent
    _passes: Iterator[int] = field(default_factory=lambda: count(1))

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images × {self.n_features} features, streamed)"

    @property
    def n_features(self) -> int:
        """Number of features."""
        return sum(spec.n_features for spec in self.specs)

    def narrowed(self, layers: str) -> "StreamedFeatures":
        """Select the columns of some layers, as `FeatureSet.narrowed` does."""
        spec = self.specs[0]
        few = spec.narrowed(layers)
        if few == spec:
            return self
        places = np.arange(spec.n_features) if self.columns is None else self.columns
        kept = np.concatenate([places[spec.slices[part]] for part in few.parts])
        return replace(self, columns=kept, specs=(few,))

    def grouped_by(self, name: str) -> "StreamedFeatures":
        """Use the values of a column as groups."""
        return replace(self, numbers=self.numbers.grouped_by(name))

    def ungrouped(self) -> "StreamedFeatures":
        """Remove the groups. The frames, faces and views of one file still form a group."""
        return replace(self, numbers=self.numbers.ungrouped())

    def merged_labels(self) -> "StreamedFeatures":
        """Merge classes whose names differ only in capitals or spaces."""
        return replace(self, numbers=self.numbers.merged_labels())

    def rows(self, numbers: NDArray[np.int64]) -> "StreamedRows":
        """Select rows by row numbers in any order. A repeated number repeats its row.

        The rows are read in ascending order of their numbers.
        """
        ascending = np.argsort(numbers, kind="stable")
        is_sorted = (numbers[1:] >= numbers[:-1]).all()
        return StreamedRows(self, numbers[ascending], None if is_sorted else ascending)


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """Selection of streamed rows. Each iteration is a pass over the file.

    Parameters
    ----------
    features : StreamedFeatures
        All rows.
    numbers : ndarray of shape (n_samples,), int64
        Row numbers in ascending order.
    order : ndarray of shape (n_samples,), int64, optional
        Position in the selection of each element of `numbers`. None if the selection is in
        ascending order.
    """

    features: StreamedFeatures
    numbers: NDArray[np.int64]
    order: NDArray[np.int64] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the selection as an array: (n_samples, n_features)."""
        return len(self.numbers), self.features.n_features

    def __iter__(self) -> Iterator[Block]:
        """Yield each block as a slice of positions in `numbers` and the features of those rows.

        Raises
        ------
        DataError
            If a value is not finite.
        """
        number, total = next(self.features._passes), int(self.numbers[-1]) + 1
        at = seen = 0
        for block in self.features.read():
            upto = int(np.searchsorted(self.numbers, seen + len(block)))
            if upto > at:
                wanted = self.numbers[at:upto] - seen
                all_once = np.array_equal(wanted, np.arange(len(block)))
                taken = block if all_once else block[wanted]
                if self.features.columns is not None:
                    taken = taken[:, self.features.columns]
                X = taken.astype(np.float32, copy=False)
                if not np.isfinite(X).all():
                    row = self.numbers[at + np.flatnonzero(~np.isfinite(X).all(axis=1))[0]]
                    raise DataError(
                        f"features must be finite, but row {row} has an infinite or NaN value. "
                        "Embed the images again with --overwrite."
                    )
                yield slice(at, upto), X
            at, seen = upto, seen + len(block)
            done = min(seen, total)
            self.features.report(Phase("reading", done, total, "images", detail=f"pass {number}"))
            if at == len(self.numbers):
                return


@contextmanager
def stream(path: str | Path) -> Iterator[StreamedFeatures]:
    """Open a feature file for fitting without loading its features into memory.

    Use `clipfeat.load` for features that fit in memory.

    Parameters
    ----------
    path : path
        A feature file.

    Yields
    ------
    StreamedFeatures
        Features for `clipfeat.fit`, valid inside the ``with`` block.

    Raises
    ------
    RefusedFileError
        If the file is missing or damaged, or is not a feature file.
    """
    with open_stored(path) as stored:
        stored.spec.warn_if_untrained(path)
        n = stored.n_rows
        groups = stored.strings("groups")
        columns = {name: stored.source_column(name) for name in stored.column_names}
        if (split := stored.strings("split")).any():
            columns["split"] = split
        paths = stored.strings("paths")
        columns = with_own_files(columns, paths)
        number: Any = np.arange(n, dtype=np.float64)[:, None]  # float32 is exact only below 2**24
        # Row numbers serve as paths. Rows of frames, faces and views need their own paths.
        labels = stored.strings("labels").tolist()
        plain = FeatureSet.from_arrays(np.zeros((n, 1)), labels)
        plain = plain.renamed_classes(class_names(plain.classes))
        numbers = replace(
            plain,
            X=number,
            paths=paths if "file" in columns else plain.paths,
            keys=np.frombuffer(stored.column("keys").tobytes().hex().encode(), dtype="S32"),
            groups=groups if groups.any() else None,
            columns=columns,
            weight_files=weight_files(stored),
        )
        yield StreamedFeatures(stored.features, numbers, (stored.spec,))


def bytes_in_memory(path: str | Path) -> int:
    """Return the memory in bytes that the features of a file take once loaded."""
    with open_stored(path) as stored:
        return stored.n_rows * stored.spec.n_features * np.dtype(np.float32).itemsize
