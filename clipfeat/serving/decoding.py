"""Decoding in isolated child processes, with a limit on the number of pixels."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from clipfeat.errors import DecodeError
from clipfeat.images.decode import MAX_PIXELS, NO_BUFFER, RGB, Decoded, decode
from clipfeat.images.header import read_header
from clipfeat.images.isolated import IsolatedDecoder, Isolation

_LIMIT = struct.Struct("<Q")
"""Start of a request to the decoding process: the maximum number of pixels."""

ISOLATION = Isolation("clipfeat.serving.decoding:decode_limited", seconds=30.0, wall_seconds=60.0)


def decode_limited(request: bytes, buffer: RGB = NO_BUFFER, least_side: int = 0) -> Decoded:
    """Decode the image of a request, which starts with the maximum number of pixels.

    For `buffer` and `least_side`, see `clipfeat.images.decode.decode`.

    Raises
    ------
    DecodeError
        If the image has more pixels than the limit, or cannot be decoded.
    """
    (limit,) = _LIMIT.unpack_from(request)
    data = request[_LIMIT.size :]
    if limit < MAX_PIXELS:  # `decode` itself checks MAX_PIXELS
        header = read_header(data)
        n_pixels = header.width * header.height
        if n_pixels > limit:
            raise DecodeError(
                f"the image has {n_pixels} pixels ({header.width}x{header.height}), more than the "
                f"limit of {limit}"
            )
    return decode(data, buffer, least_side)


class LimitedDecoder(IsolatedDecoder):
    """Isolated decoder with a limit on the pixels of an image.

    Parameters
    ----------
    max_pixels : int
        Maximum number of pixels.
    """

    def __init__(self, max_pixels: int) -> None:
        super().__init__(ISOLATION)
        self._limit = _LIMIT.pack(max_pixels)

    @contextmanager
    def decoded(self, data: bytes, least_side: int = 0) -> Iterator[Decoded]:
        """Decode an image. See `IsolatedDecoder.decoded`."""
        with super().decoded(self._limit + data, least_side) as decoded:
            yield decoded
