"""Image records: one image of a source, not yet read."""

import hashlib
from dataclasses import dataclass

import numpy as np

from clipfeat.images.decode import RGB
from clipfeat.images.readers import Reader

FACE = "#face"
"""If every face of an image has a row, the row's path ends with this and the face's number."""

FACELESS = "none"
"""Value of the column ``face`` for an image without a face that is encoded whole."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a source.

    Parameters
    ----------
    path : str
        Path relative to the source's root; unique within the source.
    reader : Reader
        Reads the image's bytes.
    label, group : str
        Empty if unknown.
    columns : tuple of (name, value)
        Further columns of the source as text, such as ``split`` and ``generator``. If the image is
        one of several parts of a file, the column ``file`` holds the file's path.
    view : str
        Name of the view to encode; empty for the unchanged image.
    """

    path: str
    reader: Reader
    label: str = ""
    group: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    view: str = ""


def record_path(path: str) -> str:
    """Return the path of the record that a row came from, without the number of a face.

    Examples
    --------
    >>> record_path("a.jpg#face2"), record_path("a.jpg")
    ('a.jpg', 'a.jpg')
    """
    before, mark, number = path.rpartition(FACE)
    return before if mark and number.isdecimal() else path


def image_key(data: bytes) -> bytes:
    """Hash an image's bytes with BLAKE2b to 16 bytes, which identify the image everywhere."""
    return hashlib.blake2b(data, digest_size=16).digest()


def frame_key(pixels: RGB) -> bytes:
    """Hash a video frame's pixels to 16 bytes that differ from every `image_key`.

    Frames with equal pixels have one key, in one video or in a copy of it in another container,
    just as copies of an image file have one key. The file cannot give the key, since no part of it
    belongs to one frame alone.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        The decoded frame.
    """
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16, person=b"frame")
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()
