"""One HDF5 file of a feature file, opened and checked as untrusted input."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import RefusedFileError, StorageError
from clipfeat.features import Failure
from clipfeat.spec import EncoderSpec
from clipfeat.store.fetching import fetch
from clipfeat.store.format import (
    KIND,
    NO_KEY,
    REMEDY,
    VERSION,
    Column,
    checksum,
)
from clipfeat.store.screening import check_regular, screen
from clipfeat.system.locations import is_remote

CHUNK_ROWS = 8192


@dataclass(frozen=True)
class OpenFile:
    """An open HDF5 file of the format: a snapshot, a shard or a part.

    Parameters
    ----------
    path : Path
        The file's name, for messages.
    h5 : h5py.File
        The open file.
    """

    path: Path
    h5: Any

    @cached_property
    def spec(self) -> EncoderSpec:
        """The encoder's identity, checked against its fingerprint."""
        try:
            spec = EncoderSpec.from_json(self.text("encoder"))
        except RefusedFileError as error:
            raise RefusedFileError(f"{self.path} is damaged: {error}. {REMEDY}") from error
        if spec.fingerprint != self.text("fingerprint"):
            raise RefusedFileError(
                f"{self.path} is damaged: the encoder and its fingerprint disagree. {REMEDY}"
            )
        return spec

    def text(self, attribute: str) -> str:
        """Read an attribute of the file as text."""
        with _refusing(self.path):
            value = self.h5.attrs.get(attribute, b"")
            return value.decode() if isinstance(value, bytes) else str(value)

    def column(self, name: str) -> Column:
        """Read a whole dataset and verify its checksum.

        Raises
        ------
        RefusedFileError
            If the dataset is missing or damaged.
        """
        dataset = self._dataset(name)
        with _refusing(self.path):
            values: Column = dataset[()]
        self._check(name, checksum(values))
        return values

    def strings(self, name: str) -> NDArray[np.str_]:
        """Read a text dataset."""
        raw = self.column(name)
        with _refusing(self.path):
            return (
                np.char.decode(raw.astype(np.bytes_), "utf-8") if len(raw) else np.array([], "U1")
            )

    def features(self) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield blocks of the features, each with the index of its first row.

        After the last block, the checksum is verified.
        """
        dataset = self._dataset("features")
        crc = 0
        for start in range(0, len(dataset), CHUNK_ROWS):
            with _refusing(self.path):
                rows = dataset[start : start + CHUNK_ROWS]
            crc = checksum(rows, crc)
            yield start, rows
        self._check("features", crc)

    @property
    def n_bytes(self) -> int:
        """Size of the file in bytes."""
        with _refusing(self.path):
            return int(self.h5.id.get_filesize())

    @property
    def n_rows(self) -> int:
        """Number of rows, including superseded rows."""
        return int(self._dataset("features").shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the features."""
        dtype: np.dtype[Any] = self._dataset("features").dtype
        return dtype

    @property
    def column_names(self) -> list[str]:
        """Names of the source's columns."""
        with _refusing(self.path):
            return sorted(map(unquote, self.h5["columns"])) if "columns" in self.h5 else []

    def labels(self) -> NDArray[np.str_]:
        """Read the class name of each row; empty if the label is unknown."""
        names = np.append(self.strings("class_names"), "")
        codes = self.column("labels").astype(np.int64)
        if len(codes) and not (codes.min() >= -1 and codes.max() < len(names) - 1):
            raise RefusedFileError(
                f"{self.path} is damaged: labels must be indices of its {len(names) - 1} classes, "
                f"or -1 for no label, got values from {codes.min()} to {codes.max()}. {REMEDY}"
            )
        return names[codes]

    def failures(self) -> list[Failure]:
        """Read the images that have no row."""
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
            raise RefusedFileError(
                f"{self.path} is not a complete feature file: it has no dataset {name!r}. {REMEDY}"
            )
        return dataset

    def _check(self, name: str, crc: int) -> None:
        with _refusing(self.path):
            expected = self.h5[name].attrs.get("crc32")
        if expected != crc:
            raise RefusedFileError(
                f"{self.path} is damaged: the checksum of {name!r} does not match. {REMEDY}"
            )


@contextmanager
def open_file(path: Path) -> Iterator[OpenFile]:
    """Open a file for reading.

    Raises
    ------
    RefusedFileError
        If the file is damaged. If it is not a feature file, or has another format version. If its
        structure does not follow the format (see `clipfeat.store.screening`).
    StorageError
        If this process has reached its limit of open files.
    FileNotFoundError
        If the file does not exist.
    """
    with _open_h5(path) as (h5, length):
        file = OpenFile(path, h5)
        with _refusing(path):
            screen(h5, path, length)
        if file.text("clipfeat") != KIND:
            raise RefusedFileError(
                f"{path} is an HDF5 file, but not a feature file of clipfeat. Pass a file that "
                "`clipfeat embed` or `clipfeat import` wrote."
            )
        with _refusing(path):
            version = int(h5.attrs.get("version", 0))
        if version != VERSION:
            raise RefusedFileError(
                f"{path} has format version {version}, but version {VERSION} is expected. Update "
                "clipfeat, or embed the images again with --overwrite."
            )
        yield file


@contextmanager
def _open_h5(path: Path) -> Iterator[tuple[Any, int]]:
    """Open a local or remote file, and yield it with its length in bytes."""
    local = fetch(path) if is_remote(path) else path
    before = check_regular(local)
    try:
        h5 = h5py.File(local, "r", locking=False)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:
        if getattr(error, "errno", None) == errno.EMFILE:
            raise StorageError(
                f"cannot open {path}: this process has too many open files. Raise the "
                "limit with `ulimit -n`."
            ) from error
        if not local.exists() or not os.path.samestat(before, local.stat()):
            # A merge removed or replaced the file in the meantime.
            raise FileNotFoundError(
                f"{path} was removed or replaced while it was opened"
            ) from error
        raise RefusedFileError(f"{path} is not a complete HDF5 file: {error}. {REMEDY}") from error
    with h5:
        # The length is that of the open file, because a merge may delete the name at any moment.
        yield h5, os.fstat(h5.id.get_vfd_handle()).st_size


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Convert the exceptions that h5py raises for a damaged file into `RefusedFileError`."""
    try:
        yield
    except (RefusedFileError, StorageError):
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise RefusedFileError(f"{path} is damaged: {error}. {REMEDY}") from error
