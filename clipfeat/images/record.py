"""One image of a source: where its bytes are and what is known of it, nothing decoded yet."""

import hashlib
from dataclasses import dataclass

import numpy as np

from clipfeat.images.decode import RGB
from clipfeat.images.readers import Reader

FACE = "#face"
"""Where all faces of an image are taken, each row's path ends with this and the face's number."""

FACELESS = "none"
"""In the column ``face``: an image that was taken whole, since no face was found in it."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a source.

    Parameters
    ----------
    path : str
        Relative to the source's root; unique within the source.
    reader : Reader
        Reads the image's bytes.
    label, group : str
        Empty where unknown.
    columns : tuple of (name, value)
        Whatever else the source says, as text: ``split``, ``generator``, ...; and ``file``, where
        this is one of several parts of a file, that file's path.
    view : str
        Which view of the image is wanted; empty for the image as it is.
    """

    path: str
    reader: Reader
    label: str = ""
    group: str = ""
    columns: tuple[tuple[str, str], ...] = ()
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
