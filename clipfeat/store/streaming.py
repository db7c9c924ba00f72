"""Features that are read in blocks, again and again, for what does not fit in memory.

The labels, groups and keys are in memory, as the columns of a `FeatureSet` whose only feature is
the row's own number. Whatever takes rows apart (folds, groups, calibration, bags, votes) does it to
the numbers as it would to the features, by the same code; only what is fitted in the end looks the
features up, by `StreamedFeatures.rows`.
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
from clipfeat.spec import EncoderSpec
from clipfeat.store import opened

SHARE = 0.5
"""Of the available memory; features that as float32 take more are better read in blocks."""

Block = tuple[slice, NDArray[np.float32]]
"""The places of some rows among those asked for, and their features."""


@dataclass(frozen=True)
class Reading:
    """How far a pass over the features is.

    Parameters
    ----------
    number : int
        Of the pass, from 1.
    done, total : int
        Rows.
    """

    number: int
    done: int
    total: int


@dataclass(frozen=True, eq=False, repr=False)
class StreamedFeatures:
    """Features on the disk, with what is known of their rows in memory.

    Parameters
    ----------
    read : callable
        Gives the blocks of all rows in their order, (n, n_features) of float16 or float32, from
        the beginning whenever it is called.
    numbers : FeatureSet
        Labels, groups, keys and columns of the rows, and for features one column: each row's number
        among all that are read.
    specs : tuple of EncoderSpec
        The encoder.
    columns : ndarray of int, optional
        The features that are wanted, where not all are.
    progress : callable
        Told after each block.
    """

    read: Callable[[], Iterable[NDArray[np.floating]]]
    numbers: FeatureSet
    specs: tuple[EncoderSpec, ...]
    columns: NDArray[np.int64] | None = None
    progress: Callable[[Reading], None] = lambda reading: None
    _passes: Iterator[int] = field(default_factory=lambda: count(1))

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images × {self.n_features} features, streamed)"

    @property
    def n_features(self) -> int:
        """Columns of a block."""
        return sum(spec.n_features for spec in self.specs)

    def narrowed(self, layers: str) -> "StreamedFeatures":
        """Only some layers' columns; see `FeatureSet.narrowed`."""
        spec = self.specs[0]
        few = spec.narrowed(layers)
        if few == spec:
            return self
        places = np.arange(spec.n_features) if self.columns is None else self.columns
        kept = np.concatenate([places[spec.slices[part]] for part in few.parts])
        return replace(self, columns=kept, specs=(few,))

    def grouped_by(self, name: str) -> "StreamedFeatures":
        """The same rows with the values of a column as their groups."""
        return replace(self, numbers=self.numbers.grouped_by(name))

    def ungrouped(self) -> "StreamedFeatures":
        """The same rows with no groups but what cannot be parted."""
        return replace(self, numbers=self.numbers.ungrouped())

    def rows(self, numbers: NDArray[np.int64]) -> "Rows":
        """Some rows, by ascending numbers; a number that comes twice is a row that does."""
        return Rows(self, numbers)


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of streamed features; each iteration is a pass over the disk.

    Parameters
    ----------
    features : StreamedFeatures
        All of them.
    numbers : ndarray of shape (n_samples,), int64
        Ascending.
    """

    features: StreamedFeatures
    numbers: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """As that of an array (n_samples, n_features)."""
        return len(self.numbers), self.features.n_features

    def __iter__(self) -> Iterator[Block]:
        """Yield the rows' places among `numbers` and their features, block by block.

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
                    raise DataError(f"features must be finite; those of row {row} are not")
                yield slice(at, upto), X
            at, seen = upto, seen + len(block)
            self.features.progress(Reading(number, min(seen, total), total))
            if at == len(self.numbers):
                return


@contextmanager
def stream(
    path: str | Path, *, progress: Callable[[Reading], None] = lambda reading: None
) -> Iterator[StreamedFeatures]:
    """Open a feature file for fits that read it in blocks; `clipfeat.load` reads it whole.

    Parameters
    ----------
    path : path
        A feature file, with its parts.
    progress : callable
        Told after each block that is read.

    Yields
    ------
    StreamedFeatures
        For `clipfeat.fit`, as long as the context lasts.

    Raises
    ------
    RefusedFileError
        If the file is missing, damaged or foreign.
    """
    with opened(path) as stored:
        stored.spec.warn_if_untrained(path)
        n = stored.n_rows
        groups = stored.strings("groups")
        columns = {name: stored.source_column(name) for name in stored.column_names}
        if (split := stored.strings("split")).any():
            columns["split"] = split
        number: Any = np.arange(n, dtype=np.float64)[:, None]  # exact beyond float32's 16 million
        # A number serves as the path too, unless frames name the file that they are of.
        plain = FeatureSet.from_arrays(np.zeros((n, 1)), stored.strings("labels").tolist())
        numbers = replace(
            plain,
            X=number,
            paths=stored.strings("paths") if "file" in columns else plain.paths,
            keys=np.frombuffer(stored.column("keys").tobytes().hex().encode(), dtype="S32"),
            groups=groups if groups.any() else None,
            columns=columns,
        )
        yield StreamedFeatures(stored.features, numbers, (stored.spec,), progress=progress)


def bytes_in_memory(path: str | Path) -> int:
    """What `clipfeat.load` would take for a feature file's features."""
    with opened(path) as stored:
        return stored.n_rows * stored.spec.n_features * np.dtype(np.float32).itemsize
