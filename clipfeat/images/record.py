"""One image of a source: where its bytes are and what is known of it, nothing decoded yet."""

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipfeat.errors import ReadError, StorageError
from clipfeat.images.decode import RGB
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import is_remote, location

FACE = "#face"
"""Where all faces of an image are taken, each row's path ends with this and the face's number."""

FACELESS = "none"
"""In the column ``face``: an image that was taken whole, since no face was found in it."""

MAX_BYTES = 256 * 2**20
"""Files above this are refused before they are read."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """Where one image's bytes are, and what the source says of it.

    Parameters
    ----------
    path : str
        Relative to the source's root; unique within the source.
    file : str
        The file that holds the bytes: on disk, or as fsspec names it.
    offset, size : int
        The bytes' place within `file`; a size of -1 is the whole file.
    label, group : str
        Empty where unknown.
    columns : tuple of (name, value)
        Whatever else the source says, as text: ``split``, ``generator``, ...; and ``file``, where
        this is one of several parts of a file, that file's path.
    time : float
        Of a video's frame, when it is shown, in seconds from the first; -1 for an image.
    view : str
        Which view of the image is wanted; empty for the image as it is.
    """

    path: str
    file: str
    offset: int = 0
    size: int = -1
    label: str = ""
    group: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    time: float = -1.0
    view: str = ""


def record_path(path: str) -> str:
    """The path of the record that a row came from: without the number of a face.

    Examples
    --------
    >>> record_path("a.jpg#face2"), record_path("a.jpg")
    ('a.jpg', 'a.jpg')
    """
    before, mark, number = path.rpartition(FACE)
    return before if mark and number.isdecimal() else path


def read_bytes(record: ImageRecord) -> bytes:
    """Read an image's bytes, from a regular file or an object only.

    Raises
    ------
    ReadError
        If the file is missing, unreadable, empty, not regular, shorter than it should be, or over
        `MAX_BYTES`. A FIFO named ``x.jpg`` is refused rather than waited for.
    StorageError
        If an object store does not answer, which is no image's fault.
    """
    data, size = _remote(record) if is_remote(record.file) else _local(record)
    if not data:
        raise ReadError("empty file")
    if len(data) < size:
        raise ReadError(f"{len(data)} bytes where {size} were expected")
    return data


def _remote(record: ImageRecord) -> tuple[bytes, int]:
    of: Any = location(record.file)
    size = MAX_BYTES + 1 if record.size < 0 else record.size
    try:
        with storage_errors(f"reading {record.file}"):
            data: bytes = of.fs.cat_file(of.path, start=record.offset, end=record.offset + size)
    except StorageError as error:
        if _is_of_the_object(error.__cause__):
            raise ReadError(str(error.__cause__) or "no such object") from error
        if _is_empty(of):
            return b"", 0
        raise
    if len(data) > MAX_BYTES:
        raise ReadError(f"over the limit of {MAX_BYTES} bytes")
    return data, 0 if record.size < 0 else record.size


def _is_of_the_object(cause: BaseException | None) -> bool:
    """Whether it is this object that is not there, or not ours to read.

    An expired token, which would fail every object from now on, is a PermissionError to s3fs too.
    """
    if isinstance(cause, PermissionError):
        said = getattr(cause.__cause__, "response", None) or {}
        return said.get("Error", {}).get("Code") in (None, "403", "AccessDenied", "Forbidden")
    return isinstance(cause, FileNotFoundError)


def _is_empty(of: Any) -> bool:
    """Whether there is nothing to read a range of, which is an error of some stores."""
    try:
        return bool(of.stat().st_size == 0)
    except Exception:
        return False


def _local(record: ImageRecord) -> tuple[bytes, int]:
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
        descriptor = os.open(record.file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ReadError("not a regular file")
            size = status.st_size if record.size < 0 else record.size
            if size > MAX_BYTES:
                raise ReadError(f"{size} bytes, over the limit of {MAX_BYTES}")
            file.seek(record.offset)
            data = file.read(size)
    except ReadError:
        raise
    except (OSError, ValueError) as error:
        raise ReadError(getattr(error, "strerror", None) or str(error)) from error
    return data, size


def image_key(data: bytes) -> bytes:
    """Digest an image's bytes: 16 bytes of BLAKE2b, the identity of the image everywhere."""
    return hashlib.blake2b(data, digest_size=16).digest()


def frame_key(pixels: RGB) -> bytes:
    """Digest a video frame's pixels, to 16 bytes that no `image_key` is.

    Frames that look alike to the last bit, of one video or of a copy in another container, have
    one key, as copies of an image's file have. No part of the file could serve: it has no bytes
    that are this frame's alone.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
    """
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16, person=b"frame")
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()
