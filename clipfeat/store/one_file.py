"""One of the HDF5 files of a feature file, opened and checked as untrusted input."""

import errno
import os
from collections.abc import Callable, Iterator
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
from clipfeat.features import Failure
from clipfeat.spec import EncoderSpec
from clipfeat.store.fetching import fetch
from clipfeat.store.format import (
    KEY_BYTES,
    KIND,
    NO_KEY,
    REMEDY,
    VERSION,
    Column,
    checksum,
)
from clipfeat.store.repeated_paths import path_hashes
from clipfeat.store.screening import screen
from clipfeat.system.files import check_regular
from clipfeat.system.locations import is_remote

CHUNK_ROWS = 8192


@dataclass(frozen=True)
class OpenFile:
    """Open HDF5 file of a feature file: a snapshot, a shard or a part.

    Parameters
    ----------
    path : Path
        The file's name, for messages.
    opened : callable
        Returns the open file. A `FilePool` may have to open it again.
    """

    path: Path
    opened: Callable[[], Any]

    @property
    def h5(self) -> Any:
        """The open `h5py.File`, valid until another file of its pool is used."""
        return self.opened()

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

    def strings(self, name: str, rows: NDArray[np.int64] | None = None) -> NDArray[np.str_]:
        """Read a text dataset, or only some of its rows."""
        raw = self.column(name)
        return self.decode(raw if rows is None else raw[rows])

    def decode(self, raw: Column) -> NDArray[np.str_]:
        """Decode values of a text dataset."""
        with _refusing(self.path):
            return (
                np.char.decode(raw.astype(np.bytes_), "utf-8") if len(raw) else np.array([], "U1")
            )

    def path_hashes(self, name: str) -> NDArray[np.uint64]:
        """Hash the paths in a text dataset. See `clipfeat.store.repeated_paths`."""
        raw = self.column(name)
        with _refusing(self.path):
            return path_hashes(raw.astype(np.bytes_))

    def features(self) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield blocks of the features, each with the index of its first row.

        After the last block, the checksum is verified.
        """
        crc = 0
        for start in range(0, self.n_rows, CHUNK_ROWS):
            dataset = self._dataset("features")  # a `FilePool` may have closed the last one
            with _refusing(self.path):
                rows = dataset[start : start + CHUNK_ROWS]
            crc = checksum(rows, crc)
            yield start, rows
        self._check("features", crc)

    @cached_property
    def n_bytes(self) -> int:
        """Size of the file in bytes."""
        with _refusing(self.path):
            return int(self.h5.id.get_filesize())

    @cached_property
    def n_rows(self) -> int:
        """Number of rows, including superseded rows."""
        return int(self._dataset("features").shape[0])

    @cached_property
    def width(self) -> int | None:
        """Number of features of each row. None if the file has no features."""
        return self.h5["features"].shape[1] if "features" in self.h5 else None

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

    @property
    def text_sizes(self) -> dict[str, int]:
        """Size in bytes of a value of the class names and of each text dataset of the rows."""
        with _refusing(self.path):
            columns = [f"columns/{name}" for name in self.h5.get("columns", ())]
            names = ("paths", "groups", "split", "format", "class_names", *columns)
            return {name: self.h5[name].dtype.itemsize for name in names if name in self.h5}

    def labels(self) -> NDArray[np.str_]:
        """Read the class name of each row. The name is empty if the label is unknown."""
        codes, names = self.label_codes()
        labels: NDArray[np.str_] = np.array(names, dtype=np.str_)[codes]
        return labels

    def label_codes(self) -> tuple[Column, list[str]]:
        """Read the labels as indices into class names. The last name is empty, for no label."""
        names = [*self.strings("class_names").tolist(), ""]
        codes = self.column("labels")
        if len(codes) and not (codes.min() >= -1 and codes.max() < len(names) - 1):
            raise RefusedFileError(
                f"{self.path} is damaged: labels must be indices of its {len(names) - 1} classes, "
                f"or -1 for no label, got values from {codes.min()} to {codes.max()}. {REMEDY}"
            )
        return codes, names

    def failures(self) -> list[Failure]:
        """Read the paths of the images that have no row, and the reasons."""
        if not len(self._dataset("failures/path")):
            return []
        texts = (self.texts(f"failures/{name}") for name in ("path", "reason", "message"))
        data = self.column("failures/key").tobytes()
        keys = (data[at : at + KEY_BYTES] for at in range(0, len(data), KEY_BYTES))
        return [
            Failure(path, reason, message, key if key != NO_KEY else b"")
            for path, reason, message, key in zip(*texts, keys, strict=True)
        ]

    def texts(self, name: str) -> list[str]:
        """Read a text dataset as a list, in which a long text does not make the others longer."""
        raw = self.column(name)
        with _refusing(self.path):
            return [value.decode() for value in raw.astype(np.bytes_, copy=False).tolist()]

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
        file = OpenFile(path, lambda: h5)
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


class FilePool:
    """Pool that keeps only the most recently used files of a feature file open.

    Parameters
    ----------
    most : int
        Maximum number of open files.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[Path, tuple[ExitStack, Any]] = {}

    def open(self, path: Path) -> OpenFile:
        """Open a file like `open_file`. If the pool closes the file, the next use reopens it."""
        with ExitStack() as stack:
            h5 = stack.enter_context(open_file(path)).h5
            status = os.fstat(h5.id.get_vfd_handle())
            self._keep(path, stack.pop_all(), h5)
        return OpenFile(path, lambda: self._opened(path, status))

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._close_oldest()

    def _opened(self, path: Path, status: os.stat_result) -> Any:
        if path in self._open:
            stack, h5 = self._open.pop(path)
            self._open[path] = stack, h5
            return h5
        with ExitStack() as stack:
            try:
                h5, _ = stack.enter_context(_open_h5(path))
                now = os.fstat(h5.id.get_vfd_handle())
                is_same = _identity(now) == _identity(status)
            except FileNotFoundError:
                is_same = False
            if not is_same:
                raise StorageError(
                    f"another process merged the feature file while it was read, and removed or "
                    f"replaced {path}. Run the same command again"
                )
            self._keep(path, stack.pop_all(), h5)
            return h5

    def _keep(self, path: Path, stack: ExitStack, h5: Any) -> None:
        if len(self._open) >= self.most:
            self._close_oldest()
        self._open[path] = stack, h5

    def _close_oldest(self) -> None:
        stack, _ = self._open.pop(next(iter(self._open)))
        stack.close()


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


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
