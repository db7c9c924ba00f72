"""Image records. A record describes one image that has not been read yet."""

import hashlib
from dataclasses import dataclass

import numpy as np

from clipfeat.images.decode import RGB
from clipfeat.images.readers import Reader

FACE = "#face"
"""Text between an image's path and a face's number in the path of a row: ``a.jpg#face2``."""

FACELESS = "none"
"""Value of the column ``face`` if no face was detected and the whole image was encoded."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a source.

    Parameters
    ----------
    path : str
        Path relative to the source's root. It is unique within the source.
    reader : Reader
        Reader of the image's bytes.
    label, group : str
        Label and group of the image. Empty if unknown.
    columns : tuple of (name, value)
        Further columns of the source as text, such as ``split`` and ``generator``. If the record is
        a part of a file (a video frame or a view), the column ``file`` holds the file's path.
    view : str
        Name of the view (an augmented copy) to encode. Empty for the unchanged image.
    """

    path: str
    reader: Reader
    label: str = ""
    group: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    view: str = ""


def record_path(path: str) -> str:
    """Return the path of a row's record, which is the row's path without the number of a face.

    Examples
    --------
    >>> record_path("a.jpg#face2"), record_path("a.jpg")
    ('a.jpg', 'a.jpg')
    """
    before, mark, number = path.rpartition(FACE)
    return before if mark and number.isdecimal() else path


def image_key(data: bytes) -> bytes:
    """Return the content hash of an image: the 16-byte BLAKE2b digest of its bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()


def frame_key(pixels: RGB) -> bytes:
    """Return the content hash of a video frame: a 16-byte digest of its pixels.

    Frames with equal pixels have equal hashes, even if their files differ. The bytes of the file
    cannot be hashed, because most frames are stored as differences from other frames. The hash of a
    frame differs from every `image_key`.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        The decoded frame.
    """
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16, person=b"frame")
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()
