"""Readers: small picklable objects that read one image's bytes.

A record holds a reader, so a new kind of source needs a new reader, but no change of the record.
Readers have slots to save memory, because a run keeps one reader for each image. Two readers of the
same bytes are equal.
"""

import json
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from clipfeat.errors import ReadError, StorageError, UsageError
from clipfeat.system.file_stats import Stat, file_stat, object_stats
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import WEB, absolute, as_url, is_remote, location

MAX_BYTES = 256 * 2**20
"""Maximum size of a file. Larger files are refused before they are read."""

_STATUS_OF_SERVER = frozenset({401, 407, 408, 425, 429})
"""Status codes 4xx of web servers that concern every object, such as too many requests."""

Content = Literal["image", "frame request"]
"""Kinds of bytes: an image file, or a request to `clipfeat.images.video.decode_frame`."""


class Reader(ABC):
    """Base class of readers.

    Subclasses are frozen dataclasses with slots.

    Attributes
    ----------
    content : {"image", "frame request"}
        The kind of bytes that `read` returns, which selects their decoder.
    in_memory : bool
        Whether the reader holds the image itself, so that copying the reader copies the image.
    """

    __slots__ = ()
    content: ClassVar[Content] = "image"
    in_memory: ClassVar[bool] = False

    @property
    def sequence(self) -> Hashable:
        """Key of the reader. One thread reads adjacent records with equal keys, in order."""
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
            If an object store does not answer. This error ends the run, because it concerns all
            images.
        """

    def stat(self) -> Stat | None:
        """Return the file status, which changes when the bytes change, or None if there is none."""
        return None

    @classmethod
    def stat_all(cls, readers: Sequence[Self]) -> list[Stat | None]:
        """Return the file status for several readers of this class, in their order."""
        return [reader.stat() for reader in readers]

    def absolute(self) -> Self:
        """Return an equivalent reader that does not depend on the current directory."""
        return self


@dataclass(frozen=True, slots=True)
class FileReader(Reader):
    """Base class of readers that use one file, which may be on an object store.

    Parameters
    ----------
    file : str
        Path or URL of the file.
    """

    file: str

    def stat(self) -> Stat | None:
        """Return the status of the file, or None if it is not known."""
        if is_remote(self.file):
            return object_stats([self.file]).get(self.file)
        return file_stat(self.file)

    @classmethod
    def stat_all(cls, readers: Sequence[Self]) -> list[Stat | None]:
        """Return the status of several readers, with one system call or request per file."""
        first = {reader.file: reader for reader in reversed(readers)}
        stats = {file: reader.stat() for file, reader in first.items()}
        return [stats[reader.file] for reader in readers]

    def absolute(self) -> Self:
        """Return the same reader with an absolute path."""
        return replace(self, file=absolute(self.file))


@dataclass(frozen=True, slots=True)
class FileBytes(FileReader):
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
class FileInMemory(Reader):
    """Reader of an image file in memory.

    Parameters
    ----------
    data : bytes
        The whole file.
    """

    in_memory: ClassVar[bool] = True

    data: bytes

    def read(self) -> bytes:
        """Return the bytes.

        Raises
        ------
        ReadError
            If the file is empty.
        """
        if not self.data:
            raise ReadError("the file is empty")
        return self.data


@dataclass(frozen=True, slots=True)
class TarMember(FileReader):
    """Reader of a member of an uncompressed tar file.

    Parameters
    ----------
    file : str
        Path of the tar file.
    offset, size : int
        Position of the member's first byte in the tar file, and number of bytes.
    """

    offset: int
    size: int

    @property
    def sequence(self) -> Hashable:
        """Key of the reader. Empty members, which fail, have one key for each archive."""
        return self if self.size else self.file

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
class Unreadable(Reader):
    """Reader of an image whose position in an archive is unknown.

    Parameters
    ----------
    reason : str
        Why the image cannot be read.
    """

    reason: str

    @property
    def sequence(self) -> Hashable:
        """Key of all readers of this class, whose failures take no time."""
        return Unreadable

    def read(self) -> bytes:
        """Raise ReadError with the reason."""
        raise ReadError(self.reason)


@dataclass(frozen=True, slots=True)
class VideoFrame(FileReader):
    """Reader of one frame of a local video.

    It does not return bytes of the video, but a request to `clipfeat.images.video.decode_frame`,
    which opens the file.

    Parameters
    ----------
    file : str
        Path of the video.
    time : float
        Seconds from the first frame. Infinity marks a video whose frames could not be listed.
    """

    content: ClassVar[Content] = "frame request"

    time: float

    @property
    def sequence(self) -> Hashable:
        """The path of the video, because decoding its frames in order is fastest."""
        return self.file

    def read(self) -> bytes:
        """Return the request, as JSON."""
        return json.dumps({"file": self.file, "time": self.time}).encode()


@dataclass(frozen=True, slots=True)
class RemoteObject(Reader):
    """Reader of an object, or of a range of its bytes, through fsspec.

    Parameters
    ----------
    url : str
        The address, as returned by `clipfeat.system.locations.as_url`.
    offset, size : int
        Position of the first byte, and number of bytes. A size of -1 reads the whole object.
    of_several_hosts : bool
        Whether the source has addresses of several web servers. If a server does not answer, only
        its own images then fail, and the run continues.
    """

    url: str
    offset: int = 0
    size: int = -1
    of_several_hosts: bool = False

    def read(self) -> bytes:
        """Read the object.

        Raises
        ------
        ReadError
            If the object is missing, empty, larger than `MAX_BYTES` or shorter than the range, or
            if this user may not read it.
        StorageError
            If the object store does not answer.
        """
        try:
            return _checked(*_read_object(self.url, self.offset, self.size))
        except StorageError as error:
            if self.of_several_hosts:
                raise ReadError(str(error)) from error
            raise

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


def read_head(path: str, size: int) -> bytes:
    """Return the first bytes of a file or an object, or no bytes if it cannot be read."""
    try:
        return read_range(path, 0, size)
    except ReadError:
        return b""


def read_range(path: str, offset: int, size: int) -> bytes:
    """Read at most `size` bytes of a file or an object, and fewer at its end.

    Raises
    ------
    ReadError
        If the file cannot be read, or if `size` is larger than `MAX_BYTES`.
    StorageError
        If an object store does not answer.
    """
    data, _ = (
        _read_object(path, offset, size) if is_remote(path) else _read_file(path, offset, size)
    )
    return data


def stat_readers(readers: Sequence[Reader]) -> list[Stat | None]:
    """Return the file status for several readers, in their order. Their classes may differ."""
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
        raise ReadError("the file is empty")
    if len(data) < size:
        raise ReadError(f"the file is truncated: it has {len(data)} bytes, expected {size}")
    return data


def _read_file(file: str, offset: int = 0, size: int = -1) -> tuple[bytes, int]:
    """Read a range of a regular file. Return the bytes and the expected number of bytes."""
    try:
        # Without O_NONBLOCK, opening a FIFO that has no writer would block forever.
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ReadError("the path is a folder, pipe or device, not a regular file")
            expected = status.st_size if size < 0 else size
            if expected > MAX_BYTES:
                raise ReadError(
                    f"the file has {expected} bytes, more than the limit of {MAX_BYTES}"
                )
            opened.seek(offset)
            data = opened.read(expected)
    except ReadError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ReadError(f"the file cannot be read: {reason}") from error
    return data, expected


def _read_object(url: str, offset: int, size: int) -> tuple[bytes, int]:
    """Read a range of an object. Return the bytes and the minimum number of bytes to expect."""
    try:
        remote: Any = location(url)
    except UsageError as error:
        raise ReadError(f"the address is invalid: {error.__cause__ or error}") from error
    most = MAX_BYTES + 1 if size < 0 else size
    try:
        with storage_errors(f"reading {url}"):
            data = _read_range(remote, offset, most)
    except StorageError as error:
        if _concerns_object(error.__cause__):
            reason = str(error.__cause__) or "it does not exist"
            raise ReadError(f"the object cannot be read: {reason}") from error
        if remote.protocol not in WEB and _is_empty(remote):
            return b"", 0
        raise
    if len(data) > MAX_BYTES:
        raise ReadError(f"the object has more bytes than the limit of {MAX_BYTES}")
    return data, max(size, 0)


def _read_range(remote: Any, offset: int, size: int) -> bytes:
    """Read at most `size` bytes of an object."""
    if remote.protocol in WEB:
        from clipfeat.system.web import fetch

        return fetch(remote, offset, min(size, MAX_BYTES + 1))
    data: bytes = remote.fs.cat_file(remote.path, start=offset, end=offset + size)
    return data


def _concerns_object(cause: BaseException | None) -> bool:
    """Return whether an error concerns only one object, and not the whole object store.

    This is the case if the object is missing, its address is invalid (ValueError), or this user may
    not read it. s3fs also raises PermissionError for an expired token, which concerns every object.
    """
    status = getattr(cause, "status", 0)  # of a web server
    if status in range(400, 500):
        return status not in _STATUS_OF_SERVER
    if isinstance(cause, PermissionError):
        response = getattr(cause.__cause__, "response", None) or {}
        return response.get("Error", {}).get("Code") in (None, "403", "AccessDenied", "Forbidden")
    return isinstance(cause, FileNotFoundError | ValueError)


def _is_empty(remote: Any) -> bool:
    """Return whether an object is empty. Some stores fail to read a range of an empty object."""
    try:
        return bool(remote.stat().st_size == 0)
    except Exception:
        return False
