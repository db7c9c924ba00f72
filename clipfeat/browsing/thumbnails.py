"""Thumbnails of the browsed images, made in isolated processes and kept in a cache."""

import hashlib
from threading import BoundedSemaphore
from types import TracebackType
from typing import Literal, Self

from clipfeat.browsing.data import BrowseData
from clipfeat.browsing.file_cache import FileCache
from clipfeat.errors import ClipfeatError, ImageError
from clipfeat.images.isolated import IsolatedDecoder, default_workers
from clipfeat.images.readers import Reader
from clipfeat.images.thumbnails import ImageFinder, thumbnail_of

SIDES = {"small": 224, "large": 960}
"""Maximum number of pixels per side of a thumbnail, by its size on the page."""
FORMAT: Literal["JPEG"] = "JPEG"


class ChangedImageError(ClipfeatError):
    """Error for a file that is no longer the image whose features were computed."""


class BrowseThumbnails:
    """Thumbnails by row. Several threads may use them concurrently.

    An image is read only if it is below one of the roots of the data, under the rules of
    `clipfeat.images.thumbnails`. The object is a context manager. On exit, it ends the decoder
    processes.

    Parameters
    ----------
    data : BrowseData
        The images.
    cache : FileCache
        Thumbnails of earlier calls.
    """

    def __init__(self, data: BrowseData, cache: FileCache) -> None:
        self.data = data
        self.cache = cache
        self._decoder = IsolatedDecoder()
        self._slots = BoundedSemaphore(default_workers())
        self._finder = ImageFinder(data.paths.tolist(), data.roots)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._decoder.__exit__(kind, error, traceback)

    def make(self, row: int, size: str = "small") -> bytes | None:
        """Return the thumbnail of a file as a JPEG file, or None if its image cannot be shown.

        Parameters
        ----------
        row : int
            Index of the file.
        size : str
            A name in `SIDES`.

        Raises
        ------
        ChangedImageError
            If the file has other bytes than the image whose features were computed.
        """
        reader = self._finder.reader(str(self.data.paths[row]))
        if reader is None:
            return None
        key = self._key(reader, row, SIDES[size])
        if key is not None and (cached := self.cache.get(key)) is not None:
            return cached
        try:
            data = reader.read()
            if not self.data.has_bytes(row, data):
                raise ChangedImageError("the file has changed since its features were computed")
            with self._slots:  # each concurrent call has a decoder process
                made = thumbnail_of(data, self._decoder, SIDES[size], FORMAT)
        except ImageError:
            return None
        if key is not None:
            self.cache.put(key, made)
        return made

    def _key(self, reader: Reader, row: int, side: int) -> str | None:
        """Return a digest of an image's location, file status and content hash.

        It is None if the location cannot be read. The content hash does not replace the location,
        because a feature file of unknown origin may state the hash of any image.
        """
        try:
            status = reader.stat()
        except (ImageError, OSError):
            return None
        if status is None:
            return None
        hashed = self.data.content_hash(row)
        text = f"{reader.absolute()!r}\0{status!r}\0{hashed!r}\0{side}\0{FORMAT}"
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
