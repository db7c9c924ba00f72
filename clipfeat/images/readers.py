"""Readers: small picklable objects that read one image's bytes.

A record holds a reader, so a new kind of source adds a reader and leaves the record as it is. A
reader has value equality and slots: a run keeps one for each image.
"""

import json
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from clipfeat.errors import ReadError, StorageError
from clipfeat.system.file_stats import Stat, file_stat, object_stats
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import absolute, as_url, is_remote, location

MAX_BYTES = 256 * 2**20
"""Larger files are refused before they are read."""

Content = Literal["image", "frame request"]
"""Kinds of bytes: an image file, or a request to `clipfeat.images.video.decode_frame`."""


class Reader(ABC):
    """Base class of readers.

    Subclasses are frozen dataclasses with slots.

    Attributes
    ----------
    content : {"image", "frame request"}
        The kind of bytes that `read` returns, which selects their decoder.
    """

    __slots__ = ()
    content: ClassVar[Content] = "image"

    @property
    def sequence(self) -> Hashable:
        """A key that adjacent records share if one thread should read them in order."""
        return self

    @abstractmethod
    def read(self) -> bytes:
        """Read the bytes.

        Returns
        -------
        bytes
            Bytes of the kind `content`.

        Raises
        ------
        ReadError
            If the image cannot be read.
        StorageError
            If an object store does not answer, which is not the fault of one image.
        """

    def stat(self) -> Stat | None:
        """Return a status that changes when the bytes change, or None if there is none."""
        return None

    @classmethod
    def stat_all(cls, readers: Sequence[Self]) -> list[Stat | None]:
        """Return the status of several readers of this class, in their order."""
        return [reader.stat() for reader in readers]

    def absolute(self) -> Self:
        """Return an equivalent reader that is valid in any working folder."""
        return self


@dataclass(frozen=True, slots=True)
class LocalReader(Reader):
    """Base class of readers that use one local file.

    Parameters
    ----------
    file : str
        Path of the file.
    """

    file: str

    def stat(self) -> Stat | None:
        """Return the status of the file, or None if the file system does not give it."""
        return file_stat(self.file)

    @classmethod
    def stat_all(cls, readers: Sequence[Self]) -> list[Stat | None]:
        """Return the status of several readers, with one system call per file."""
        stats = {file: file_stat(file) for file in dict.fromkeys(r.file for r in readers)}
        return [stats[reader.file] for reader in readers]

    def absolute(self) -> Self:
        """Return the same reader with an absolute path."""
        return replace(self, file=absolute(self.file))


@dataclass(frozen=True, slots=True)
class FileBytes(LocalReader):
    """Reader of a whole local file."""

    def read(self) -> bytes:
        """Read the file.

        Raises
        ------
        ReadError
            If the file is missing, unreadable, empty, not a regular file, or larger than
            `MAX_BYTES`.
        """
        return _checked(*_read_file(self.file))


@dataclass(frozen=True, slots=True)
class TarMember(LocalReader):
    """Reader of a member of an uncompressed tar file.

    Parameters
    ----------
    file : str
        Path of the tar file.
    offset, size : int
        The member's bytes within the tar file.
    """

    offset: int
    size: int

    def read(self) -> bytes:
        """Read the member.

        Raises
        ------
        ReadError
            If the tar file is missing, unreadable, truncated or not a regular file, or if the
            member is empty or larger than `MAX_BYTES`.
        """
        return _checked(*_read_file(self.file, self.offset, self.size))


@dataclass(frozen=True, slots=True)
class VideoFrame(LocalReader):
    """Reader of one frame of a local video.

    The bytes are a request to `clipfeat.images.video.decode_frame`, which opens the file.

    Parameters
    ----------
    file : str
        Path of the video.
    time : float
        Seconds from the first frame. Infinity stands for a video whose frames cannot be listed.
    """

    content: ClassVar[Content] = "frame request"

    time: float

    @property
    def sequence(self) -> Hashable:
        """The video: its frames are cheapest to decode in order."""
        return self.file

    def read(self) -> bytes:
        """Return the request, as JSON."""
        return json.dumps({"file": self.file, "time": self.time}).encode()


@dataclass(frozen=True, slots=True)
class RemoteObject(Reader):
    """Reader of an object, or of a range of it, that fsspec can reach.

    Parameters
    ----------
    url : str
        As `clipfeat.system.locations.as_url` returns it.
    offset, size : int
        The range. A size of -1 is the whole object.
    """

    url: str
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        """Read the object.

        Raises
        ------
        ReadError
            If the object is missing, empty, shorter than the range, larger than `MAX_BYTES`, or
            not readable for this user.
        StorageError
            If the object store does not answer.
        """
        return _checked(*_read_object(self.url, self.offset, self.size))

    def stat(self) -> Stat | None:
        """Return the status of the object, or None if its folder cannot be listed."""
        return object_stats([self.url]).get(self.url)

    @classmethod
    def stat_all(cls, readers: Sequence[Self]) -> list[Stat | None]:
        """Return the status of several objects, with one request per folder."""
        stats = object_stats(reader.url for reader in readers)
        return [stats.get(reader.url) for reader in readers]


def whole_file(path: str) -> FileBytes | RemoteObject:
    """Return the reader of a whole file or object."""
    return RemoteObject(as_url(path)) if is_remote(path) else FileBytes(path)


def stat_readers(readers: Sequence[Reader]) -> list[Stat | None]:
    """Return the status of readers of any classes, in their order."""
    places: dict[type[Reader], list[int]] = {}
    for place, reader in enumerate(readers):
        places.setdefault(type(reader), []).append(place)
    stats: list[Stat | None] = [None] * len(readers)
    for reader_class, at in places.items():
        of_class = reader_class.stat_all([readers[place] for place in at])
        for place, status in zip(at, of_class, strict=True):
            stats[place] = status
    return stats


def _checked(data: bytes, size: int) -> bytes:
    if not data:
        raise ReadError("empty file")
    if len(data) < size:
        raise ReadError(f"{len(data)} bytes, expected {size}")
    return data


def _read_file(file: str, offset: int = 0, size: int = -1) -> tuple[bytes, int]:
    """Read a range of a regular file. Return the bytes and their expected number."""
    try:
        # O_NONBLOCK: opening a FIFO without a writer would block forever.
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ReadError("not a regular file")
            expected = status.st_size if size < 0 else size
            if expected > MAX_BYTES:
                raise ReadError(f"{expected} bytes, over the limit of {MAX_BYTES}")
            opened.seek(offset)
            data = opened.read(expected)
    except ReadError:
        raise
    except (OSError, ValueError) as error:
        raise ReadError(getattr(error, "strerror", None) or str(error)) from error
    return data, expected


def _read_object(url: str, offset: int, size: int) -> tuple[bytes, int]:
    """Read a range of an object. Return the bytes and the least number to expect."""
    remote: Any = location(url)
    most = MAX_BYTES + 1 if size < 0 else size
    try:
        with storage_errors(f"reading {url}"):
            data: bytes = remote.fs.cat_file(remote.path, start=offset, end=offset + most)
    except StorageError as error:
        if _concerns_object(error.__cause__):
            raise ReadError(str(error.__cause__) or "no such object") from error
        if _is_empty(remote):
            return b"", 0
        raise
    if len(data) > MAX_BYTES:
        raise ReadError(f"over the limit of {MAX_BYTES} bytes")
    return data, max(size, 0)


def _concerns_object(cause: BaseException | None) -> bool:
    """Whether this one object is missing or not readable for this user.

    s3fs also raises PermissionError for an expired token, which concerns every object.
    """
    if isinstance(cause, PermissionError):
        response = getattr(cause.__cause__, "response", None) or {}
        return response.get("Error", {}).get("Code") in (None, "403", "AccessDenied", "Forbidden")
    return isinstance(cause, FileNotFoundError)


def _is_empty(remote: Any) -> bool:
    """Whether an object is empty. Some stores raise an error for a range of an empty object."""
    try:
        return bool(remote.stat().st_size == 0)
    except Exception:
        return False
