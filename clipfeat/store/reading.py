"""Reading feature files: the snapshot or the shards, together with the parts.

`clipfeat.store.format` defines these terms. Parts are opened before the snapshot or the generation.
A merge replaces the snapshot first and deletes the parts afterwards, so a reader always sees every
row. A row that is both in the snapshot and in a part is read once.
"""

from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import RefusedFileError, StorageError
from clipfeat.features import Failure
from clipfeat.spec import EncoderSpec
from clipfeat.store.format import (
    PARTS_SUFFIX,
    REMEDY,
    Column,
    column_dataset,
)
from clipfeat.store.generations import Generation, newest_generation, shards_folder
from clipfeat.store.one_file import FilePool, OpenFile, open_file
from clipfeat.store.repeated_paths import is_in, repeated_hashes
from clipfeat.system.escaping import MAX_IMAGE_TEXT
from clipfeat.system.files import MAX_RATIO, MAX_UNPACKED, names_in, storage_errors
from clipfeat.system.locations import followed, location

MOST_OPEN = 64
"""Maximum number of shards of a feature file that are open. Systems allow a process 256 to 1,024
open files."""

_PATHS = ("paths", "failures/path")
"""Datasets of the paths of a file's rows and failures."""


@dataclass(frozen=True)
class Stored:
    """Open feature file: its snapshot or shards, and its parts.

    Parameters
    ----------
    path : Path
        The feature file's name.
    files : sequence of OpenFile
        The open HDF5 files in the order of their commits.
    only : set of str, optional
        Only rows and failures of these paths are read. None reads all.
    generation : Generation, optional
        The generation that lists the shards, if the feature file has shards.
    """

    path: Path
    files: Sequence[OpenFile]
    only: Set[str] | None = None
    generation: Generation | None = None

    @property
    def parts(self) -> list[OpenFile]:
        """The parts, whose rows are not merged yet."""
        return [file for file in self.files if file.path.parent.name.endswith(PARTS_SUFFIX)]

    @property
    def spec(self) -> EncoderSpec:
        """The encoder that all files share."""
        return self.files[0].spec

    @property
    def newest(self) -> OpenFile:
        """The file committed last."""
        return self.files[-1]

    @cached_property
    def kept(self) -> list[NDArray[np.bool_]]:
        """For each file, a mask of its current rows, which no later row or failure supersedes."""
        masks, _ = self._current
        return masks

    @cached_property
    def failures(self) -> list[Failure]:
        """The current failures, which no later row or failure supersedes."""
        _, failures = self._current
        return failures

    @cached_property
    def _current(self) -> tuple[list[NDArray[np.bool_]], list[Failure]]:
        # Paths are unique within a file, so only paths with equal hashes can be superseded.
        repeated = np.empty(0, dtype=np.uint64)
        if len(self.files) > 1:
            repeated = repeated_hashes(
                file.path_hashes(name) for file in self.files for name in _PATHS
            )
        seen: set[str] = set()
        masks: list[NDArray[np.bool_]] = []
        failures: list[Failure] = []
        for file in reversed(self.files):
            mask = np.ones(file.n_rows, dtype=bool)
            if self.only is not None:
                mask[:] = [path in self.only for path in file.strings("paths").tolist()]
            current = [failure for failure in file.failures() if self._wants(failure.path, seen)]
            if len(repeated):
                rows = np.flatnonzero(is_in(file.path_hashes("paths"), repeated))
                paths = file.strings("paths", rows).tolist()
                mask[rows] &= np.array([path not in seen for path in paths], dtype=bool)
                seen.update(paths)
                seen.update(failure.path for failure in current)
            masks.insert(0, mask)
            failures[:0] = current
        return masks, failures

    def _wants(self, path: str, seen: Set[str]) -> bool:
        return path not in seen and (self.only is None or path in self.only)

    @property
    def n_rows(self) -> int:
        """Number of current rows."""
        return sum(int(mask.sum()) for mask in self.kept)

    @property
    def column_names(self) -> list[str]:
        """Names of the source's columns in any of the files."""
        return sorted({name for file in self.files for name in file.column_names})

    def strings(self, name: str) -> NDArray[np.str_]:
        """Read the current rows of a text dataset."""
        parts = [
            file.labels()[mask] if name == "labels" else file.strings(name)[mask]
            for file, mask in zip(self.files, self.kept, strict=True)
        ]
        return np.concatenate(parts)

    def source_column(self, name: str) -> NDArray[np.str_]:
        """Read the current rows of a source column. Files without the column give empty values."""
        parts = [
            file.strings(column_dataset(name))[mask]
            if name in file.column_names
            else np.full(int(mask.sum()), "", dtype="U1")
            for file, mask in zip(self.files, self.kept, strict=True)
        ]
        return np.concatenate(parts)

    def label_codes(self) -> tuple[NDArray[np.int32], list[str]]:
        """Read the labels of the current rows as indices into a list of class names.

        Returns
        -------
        codes : ndarray of shape (n_rows,), int32
            Index of the class of each row.
        names : list of str
            Distinct class names in the order of the files. The first name is empty and means that
            the label is unknown.
        """
        numbers = {"": 0}
        codes = np.empty(self.n_rows, dtype=np.int32)
        at = 0
        for file, mask in zip(self.files, self.kept, strict=True):
            of_file, names = file.label_codes()
            merged = [numbers.setdefault(name, len(numbers)) for name in names]
            codes[at : at + mask.sum()] = np.array(merged, dtype=np.int32)[of_file[mask]]
            at += int(mask.sum())
        return codes, list(numbers)

    def column(self, name: str) -> Column:
        """Read the current rows of a dataset of numbers or keys."""
        values: Column | None = None
        at = 0
        for file, mask in zip(self.files, self.kept, strict=True):
            some = file.column(name)[mask]
            if values is None:
                values = np.empty((self.n_rows, *some.shape[1:]), dtype=some.dtype)
            values[at : at + len(some)] = some
            at += len(some)
        assert values is not None  # there is at least one file
        return values

    def features(self) -> Iterator[NDArray[np.floating]]:
        """Yield the features of the current rows in blocks of a few thousand rows."""
        for file, mask in zip(self.files, self.kept, strict=True):
            for start, rows in file.features():
                yield rows[mask[start : start + len(rows)]]


@contextmanager
def open_stored(path: str | Path) -> Iterator[Stored]:
    """Open a feature file with its parts for reading.

    Raises
    ------
    RefusedFileError
        If the file does not exist, is damaged, or has another format or version. If its parts are
        of different encoders.
    StorageError
        If an object store does not answer.
    """
    target = followed(location(path))
    with ExitStack() as stack:
        files, generation = _open_all(target, stack)
        if not files:
            raise RefusedFileError(
                f"no such feature file: {target}. Check the path, or make the file with "
                "`clipfeat embed`."
            )
        stored = Stored(target, files, generation=generation)
        for file in files[1:]:
            if file.spec != stored.spec:
                raise RefusedFileError(
                    f"{file.path} and {files[0].path} belong to one feature file, but have "
                    "features of different encoders. Move one of them away."
                )
        for file in files:
            if file.width not in (None, stored.spec.n_features):
                raise RefusedFileError(
                    f"{file.path} is damaged: it has {file.width} features per row, but its "
                    f"encoder has {stored.spec.n_features}. {REMEDY}"
                )
        _check_text_size(target, files)
        yield stored


def _check_text_size(target: Path, files: Sequence[OpenFile]) -> None:
    """Refuse texts that would take far more memory than the files are large.

    An array of text gives each row the length of the longest text, which may be that of a class or
    of a row in another file. Each character takes four bytes. Texts of up to `MAX_IMAGE_TEXT` bytes
    are accepted in any number of rows, because a writer accepts them.
    """
    longest: dict[str, int] = {}
    for file in files:
        for name, size in file.text_sizes.items():
            if size > MAX_IMAGE_TEXT:
                longest[name] = max(size, longest.get(name, 0))
    n_rows = sum(file.n_rows for file in files if file.width is not None)
    needed, size = 4 * n_rows * sum(longest.values()), sum(file.n_bytes for file in files)
    if needed > max(MAX_UNPACKED, MAX_RATIO * size):
        name = max(longest, key=lambda name: longest[name])
        raise RefusedFileError(
            f"{target} has {size} bytes, but its texts would take {needed} bytes of memory. The "
            f"cause is that a text of {name!r} has {longest[name]} bytes. {REMEDY}"
        )


def _open_all(target: Path, stack: ExitStack) -> tuple[list[OpenFile], Generation | None]:
    """Open the parts, then the snapshot or shards. Start again if a merge removes a file."""
    for _ in range(100):
        with ExitStack() as attempt:
            try:
                before = newest_generation(target)
                parts = [attempt.enter_context(open_file(part)) for part in part_paths(target)]
                generation = newest_generation(target)
                if generation != before:
                    continue  # the new generation may not list parts that the old one merged
                with storage_errors(f"looking for {target}"):
                    has_snapshot = target.exists()
                if generation is not None:
                    merged = set(generation.merged)
                    if has_snapshot and target.name not in merged:
                        raise RefusedFileError(
                            f"{target} and {shards_folder(target)} both exist, and neither was "
                            "made from the other. Move one of them away."
                        )
                    parts = [part for part in parts if part.path.name not in merged]
                    whole = _open_shards(target, generation, attempt)
                else:
                    whole = [attempt.enter_context(open_file(target))] if has_snapshot else []
            except FileNotFoundError:
                continue
            stack.push(attempt.pop_all())
            return whole + parts, generation
    raise StorageError(
        f"the parts of {target} keep changing, because another process writes this file. Try again "
        "after that process ends."
    )


def _open_shards(target: Path, generation: Generation, stack: ExitStack) -> list[OpenFile]:
    files = []
    pool = stack.enter_context(closing(FilePool(MOST_OPEN)))
    for shard in generation.shards:
        path = shards_folder(target) / shard.name
        try:
            file = pool.open(path)
        except FileNotFoundError as error:
            if newest_generation(target) != generation:
                raise
            raise RefusedFileError(
                f"the shard {path} of {target} is missing ({shard.n_rows} rows). {REMEDY}"
            ) from error
        if file.n_rows != shard.n_rows:
            raise RefusedFileError(
                f"{path} has {file.n_rows} rows, but the list of shards (generation "
                f"{generation.number}) records {shard.n_rows}. {REMEDY}"
            )
        files.append(file)
    return files


def part_paths(target: Path) -> list[Path]:
    """List the committed parts of a feature file, oldest first."""
    folder = target.with_name(target.name + PARTS_SUFFIX)
    with storage_errors(f"listing {folder}"):
        names = names_in(folder)
    return [folder / name for name in names if name.endswith(".h5") and not name.startswith(".")]


def is_there(target: Path) -> bool:
    """Return whether a feature file exists as a snapshot, shards or parts."""
    with storage_errors(f"looking for {target}"):
        has_snapshot = target.exists()
    return has_snapshot or bool(part_paths(target)) or newest_generation(target) is not None
