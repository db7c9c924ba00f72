"""Reading feature files: the snapshot, or the shards, and the parts, seen as one.

Parts are opened before the snapshot or the generation. A merge replaces these first and deletes
parts after, so that whatever is read is complete: at worst a row is seen twice, and kept once.
"""

import errno
import json
import os
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import RefusedFileError, StorageError
from clipfeat.features import Failure, FeatureSet, join, order_classes
from clipfeat.files import storage_errors
from clipfeat.locations import is_remote, location
from clipfeat.spec import EncoderSpec
from clipfeat.store.format import (
    KIND,
    NO_KEY,
    PARTS_SUFFIX,
    SHARDS_SUFFIX,
    VERSION,
    Column,
    checksum,
    column_dataset,
)
from clipfeat.store.generations import Generation, newest_generation, shards_folder
from clipfeat.store.screening import check_regular, screen

CHUNK_ROWS = 8192


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Refuse the file, whatever HDF5 runs into on a damaged one: it has no one class for that."""
    try:
        yield
    except (RefusedFileError, StorageError):
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise RefusedFileError(f"{path} is damaged: {error}") from error


@dataclass(frozen=True)
class OpenFile:
    """One open HDF5 file of the format: a snapshot or a part.

    Parameters
    ----------
    path : Path
        Its name, for messages.
    h5 : h5py.File
        The open file.
    """

    path: Path
    h5: Any

    @cached_property
    def spec(self) -> EncoderSpec:
        """The encoder's identity, checked against its fingerprint."""
        spec = EncoderSpec.from_json(self.text("encoder"))
        if spec.fingerprint != self.text("fingerprint"):
            raise RefusedFileError(f"{self.path}: the encoder does not match its fingerprint")
        return spec

    def text(self, attribute: str) -> str:
        """An attribute of the file, as text."""
        with _refusing(self.path):
            value = self.h5.attrs.get(attribute, b"")
            return value.decode() if isinstance(value, bytes) else str(value)

    def column(self, name: str) -> Column:
        """A whole dataset, checked against its checksum.

        Raises
        ------
        RefusedFileError
            If it is missing or damaged.
        """
        dataset = self._dataset(name)
        with _refusing(self.path):
            values: Column = dataset[()]
        self._check(name, checksum(values))
        return values

    def strings(self, name: str) -> NDArray[np.str_]:
        """A dataset of text."""
        raw = self.column(name)
        with _refusing(self.path):
            return (
                np.char.decode(raw.astype(np.bytes_), "utf-8") if len(raw) else np.array([], "U1")
            )

    def features(self) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield (first row, rows) of the features, some thousand rows at a time, then check."""
        dataset = self._dataset("features")
        crc = 0
        for start in range(0, len(dataset), CHUNK_ROWS):
            with _refusing(self.path):
                rows = dataset[start : start + CHUNK_ROWS]
            crc = checksum(rows, crc)
            yield start, rows
        self._check("features", crc)

    @property
    def n_rows(self) -> int:
        """Number of rows, superseded ones among them."""
        return int(self._dataset("features").shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the features."""
        dtype: np.dtype[Any] = self._dataset("features").dtype
        return dtype

    @property
    def column_names(self) -> list[str]:
        """Names of the source's further columns."""
        with _refusing(self.path):
            return sorted(map(unquote, self.h5["columns"])) if "columns" in self.h5 else []

    def labels(self) -> NDArray[np.str_]:
        """The name of each row's class; empty where unknown."""
        names = np.append(self.strings("class_names"), "")
        codes = self.column("labels").astype(np.int64)
        if len(codes) and not (codes.min() >= -1 and codes.max() < len(names) - 1):
            raise RefusedFileError(f"{self.path}: a label points at no class")
        return names[codes]

    def failures(self) -> list[Failure]:
        """The images that gave no row."""
        if not len(self._dataset("failures/path")):
            return []
        return [
            Failure(str(path), str(reason), str(message), key if key != NO_KEY else b"")
            for path, reason, message, key in zip(
                self.strings("failures/path"),
                self.strings("failures/reason"),
                self.strings("failures/message"),
                (value.tobytes() for value in self.column("failures/key")),
                strict=True,
            )
        ]

    def _dataset(self, name: str) -> Any:
        with _refusing(self.path):
            dataset = self.h5.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise RefusedFileError(f"{self.path}: no dataset {name!r}; not a whole feature file")
        return dataset

    def _check(self, name: str, crc: int) -> None:
        with _refusing(self.path):
            expected = self.h5[name].attrs.get("crc32")
        if expected != crc:
            raise RefusedFileError(
                f"{self.path}: {name!r} does not match its checksum; the file is damaged"
            )


@dataclass(frozen=True)
class Stored:
    """A feature file, its snapshot or shards and its parts, open together.

    Parameters
    ----------
    path : Path
        The feature file's name.
    files : sequence of OpenFile
        In the order in which they were committed.
    only : set of str, optional
        The paths to which it is narrowed; all by default.
    generation : Generation, optional
        Of the shards among the files.
    """

    path: Path
    files: Sequence[OpenFile]
    only: Set[str] | None = None
    generation: Generation | None = None

    @property
    def parts(self) -> list[OpenFile]:
        """The files that are not merged yet."""
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
        """For each file, which rows are current: no later row or failure has the same path."""
        masks, _ = self._current
        return masks

    @cached_property
    def failures(self) -> list[Failure]:
        """The current failures: no later row or failure has the same path."""
        _, failures = self._current
        return failures

    @cached_property
    def _current(self) -> tuple[list[NDArray[np.bool_]], list[Failure]]:
        seen: set[str] = set()
        masks: list[NDArray[np.bool_]] = []
        failures: list[Failure] = []
        for file in reversed(self.files):
            paths = file.strings("paths").tolist()
            mask = np.array([self._wants(path, seen) for path in paths], dtype=bool)
            current = [failure for failure in file.failures() if self._wants(failure.path, seen)]
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
        """Names of all further columns, of any file."""
        return sorted({name for file in self.files for name in file.column_names})

    def strings(self, name: str) -> NDArray[np.str_]:
        """The current rows' text in a dataset."""
        parts = [
            file.labels()[mask] if name == "labels" else file.strings(name)[mask]
            for file, mask in zip(self.files, self.kept, strict=True)
        ]
        return np.concatenate(parts)

    def source_column(self, name: str) -> NDArray[np.str_]:
        """The current rows' values in a further column; empty where a file lacks it."""
        parts = [
            file.strings(column_dataset(name))[mask]
            if name in file.column_names
            else np.full(int(mask.sum()), "", dtype="U1")
            for file, mask in zip(self.files, self.kept, strict=True)
        ]
        return np.concatenate(parts)

    def column(self, name: str) -> Column:
        """The current rows' values in a dataset of numbers or keys."""
        return np.concatenate(
            [file.column(name)[mask] for file, mask in zip(self.files, self.kept, strict=True)]
        )

    def features(self) -> Iterator[NDArray[np.floating]]:
        """Yield the current rows' features, some thousand rows at a time."""
        for file, mask in zip(self.files, self.kept, strict=True):
            for start, rows in file.features():
                yield rows[mask[start : start + len(rows)]]


@contextmanager
def opened(path: str | Path) -> Iterator[Stored]:
    """Open a feature file with its parts, for reading.

    Raises
    ------
    RefusedFileError
        If there is none, or a file is not of this format and version, or files disagree on the
        encoder.
    StorageError
        If an object store does not answer.
    """
    target = location(path)
    with ExitStack() as stack:
        files, generation = _open_all(target, stack)
        if not files:
            raise RefusedFileError(f"no such feature file: {target}")
        stored = Stored(target, files, generation=generation)
        for file in files[1:]:
            if file.spec != stored.spec:
                raise RefusedFileError(f"{file.path} is of another encoder than {files[0].path}")
        for file in files:
            width = file.h5["features"].shape[1] if "features" in file.h5 else None
            if width not in (None, stored.spec.n_features):
                raise RefusedFileError(
                    f"{file.path}: rows of {width} features are not the encoder's "
                    f"{stored.spec.n_features}"
                )
        yield stored


def _open_all(target: Path, stack: ExitStack) -> tuple[list[OpenFile], Generation | None]:
    """Open the parts, then the snapshot or shards; where one vanishes it was merged: look again."""
    for _ in range(100):
        with ExitStack() as attempt:
            try:
                parts = [attempt.enter_context(_open(part)) for part in part_paths(target)]
                generation = newest_generation(target)
                if generation is not None:
                    merged = set(generation.merged)
                    parts = [part for part in parts if part.path.name not in merged]
                    whole = _open_shards(target, generation, attempt)
                else:
                    whole = [attempt.enter_context(_open(target))] if target.exists() else []
            except FileNotFoundError:
                continue
            stack.push(attempt.pop_all())
            return whole + parts, generation
    raise StorageError(f"the parts of {target} keep changing; try again when its writer is done")


def _open_shards(target: Path, generation: Generation, stack: ExitStack) -> list[OpenFile]:
    found = []
    for shard in generation.shards:
        path = shards_folder(target) / shard.name
        try:
            file = stack.enter_context(_open(path))
        except FileNotFoundError as error:
            if newest_generation(target) != generation:
                raise
            raise RefusedFileError(
                f"{target} lacks {shard.n_rows} rows: the shard {path} is missing"
            ) from error
        if file.n_rows != shard.n_rows:
            raise RefusedFileError(
                f"{path} has {file.n_rows} rows where generation {generation.number} has "
                f"{shard.n_rows}"
            )
        found.append(file)
    return found


def part_paths(target: Path) -> list[Path]:
    """The committed parts of a feature file, oldest first."""
    folder = target.with_name(target.name + PARTS_SUFFIX)
    with storage_errors(f"listing {folder}"):
        return sorted(
            (path for path in folder.glob("*.h5") if not path.name.startswith(".")),
            key=lambda path: path.name,
        )


def is_there(target: Path) -> bool:
    """Whether anything of a feature file is there, be it only parts."""
    return target.exists() or bool(part_paths(target)) or newest_generation(target) is not None


@contextmanager
def _open(path: Path) -> Iterator[OpenFile]:
    with _open_h5(path) as (h5, length):
        file = OpenFile(path, h5)
        with _refusing(path):
            screen(h5, path, length)
        if file.text("clipfeat") != KIND:
            raise RefusedFileError(f"{path} is HDF5, but not a feature file of clipfeat")
        with _refusing(path):
            version = int(h5.attrs.get("version", 0))
        if version != VERSION:
            raise RefusedFileError(
                f"{path} is of format version {version}; this clipfeat reads {VERSION}"
            )
        yield file


@contextmanager
def _open_h5(path: Path) -> Iterator[tuple[Any, int]]:
    """Open a file of this machine or another, with its length in bytes."""
    if is_remote(path):
        try:
            with storage_errors(f"reading {path}"):
                raw = path.open("rb")
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise error.__cause__ from None
            raise
        with raw, _refusing(path), h5py.File(raw, "r") as h5:
            yield h5, raw.seek(0, os.SEEK_END)
        return
    before = check_regular(path)
    try:
        h5 = h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:
        if getattr(error, "errno", None) == errno.EMFILE:
            raise StorageError(
                f"{path} is one file more than this process may have open: raise `ulimit -n`"
            ) from error
        if not path.exists() or not os.path.samestat(before, path.stat()):
            # Merged, or replaced, while it was being opened.
            raise FileNotFoundError(path) from error
        raise RefusedFileError(f"{path} is not a whole HDF5 file: {error}") from error
    with h5:
        # Of the file that is open, not of its name: a merge may delete a part at any moment.
        yield h5, os.fstat(h5.id.get_vfd_handle()).st_size


def load(*paths: str | Path) -> FeatureSet:
    """Read feature files; several, of several encoders, are joined by image.

    Parameters
    ----------
    *paths : path
        Feature files, of different encoders, of the same images.

    Returns
    -------
    FeatureSet
        Features as float32, in the first file's order.

    Raises
    ------
    RefusedFileError
        If a file is missing, damaged or foreign.
    JoinError
        If the files hold different images.
    """
    return join([_load(path) for path in paths])


def _load(path: str | Path) -> FeatureSet:
    with opened(path) as stored:
        stored.spec.warn_if_untrained(path)
        X = np.empty((stored.n_rows, stored.spec.n_features), dtype=np.float32)
        at = 0
        for rows in stored.features():
            X[at : at + len(rows)] = rows
            at += len(rows)
        labels = stored.strings("labels")
        classes = order_classes(set(labels.tolist()) - {""})
        code = {name: i for i, name in enumerate(classes)}
        groups = stored.strings("groups")
        keys = stored.column("keys").tobytes().hex().encode()
        columns = {name: stored.source_column(name) for name in stored.column_names}
        if (split := stored.strings("split")).any():
            columns["split"] = split
        return FeatureSet(
            X=X,
            y=np.array([code.get(label, -1) for label in labels.tolist()], dtype=np.int64),
            classes=classes,
            paths=stored.strings("paths"),
            keys=np.frombuffer(keys, dtype="S32"),
            groups=groups if groups.any() else None,
            specs=(stored.spec,),
            columns=columns,
            failures=tuple(stored.failures),
        )


@dataclass(frozen=True)
class FileFacts:
    """What a feature file knows of the image files it was made of; zero or empty where unknown.

    Parameters
    ----------
    file_size : ndarray of shape (n_rows,), int64
        Bytes.
    height, width : ndarray of shape (n_rows,), int32
        Pixels.
    format : ndarray of shape (n_rows,), str
        Pillow's name of it.
    """

    file_size: Column
    height: Column
    width: Column
    format: NDArray[np.str_]


def file_facts(path: str | Path) -> FileFacts:
    """Read what a feature file knows of its images' files, in the order of `load`.

    Raises
    ------
    RefusedFileError
        If the file is missing, damaged or foreign.
    """
    with opened(path) as stored:
        height, width = stored.column("image_size").T
        return FileFacts(stored.column("file_size"), height, width, stored.strings("format"))


def feature_files_in(folder: str | Path) -> list[Path]:
    """The feature files of a folder, those of an unfinished run among them, sorted."""
    here = Path(folder)
    parts = (
        path.with_name(path.name.removesuffix(suffix))
        for suffix in (PARTS_SUFFIX, SHARDS_SUFFIX)
        for path in here.glob(f"*.h5{suffix}")
    )
    found = []
    for path in sorted({*here.glob("*.h5"), *here.glob("*.hdf5"), *parts}):
        try:
            with opened(path):
                found.append(path)
        except RefusedFileError:
            continue
    return found


def stored_spec(path: str | Path) -> tuple[EncoderSpec | None, str]:
    """The encoder of a feature file, and how it was asked for; of none where there is no file."""
    if not is_there(location(path)):
        return None, ""
    with opened(path) as stored:
        return stored.spec, stored.newest.text("request")


def provenance(stored: Stored) -> dict[str, Any]:
    """What was recorded of how a file was made; for people."""
    text = stored.newest.text("provenance") or "{}"
    found: dict[str, Any] = json.loads(text)
    return found
