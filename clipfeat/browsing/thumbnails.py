"""Thumbnails of the browsed images, made in isolated processes and kept in a cache."""

import hashlib
from threading import BoundedSemaphore, Lock
from types import TracebackType
from typing import Literal, Self

from clipfeat.browsing.data import BrowseData
from clipfeat.browsing.thumbnail_cache import ThumbnailCache
from clipfeat.errors import ImageError
from clipfeat.images.isolated import IsolatedDecoder, default_workers
from clipfeat.images.readers import FileBytes, Reader
from clipfeat.images.thumbnails import (
    archive_inside,
    file_inside,
    find_readers,
    is_inside,
    thumbnail,
)

SIDES = {"small": 224, "large": 960}
"""Maximum number of pixels per side of a thumbnail, by its size on the page."""
FORMAT: Literal["JPEG"] = "JPEG"


class BrowseThumbnails:
    """Thumbnails by row. Several threads may use them concurrently.

    An image is read only if it is below one of the roots of the data, under the rules of
    `clipfeat.images.thumbnails`. The object is a context manager. On exit, it ends the decoder
    processes.

    Parameters
    ----------
    data : BrowseData
        The images.
    cache : ThumbnailCache
        Thumbnails of earlier calls.
    """

    def __init__(self, data: BrowseData, cache: ThumbnailCache) -> None:
        self.data = data
        self.cache = cache
        self._decoder = IsolatedDecoder()
        self._slots = BoundedSemaphore(default_workers())
        self._lock = Lock()
        self._members: dict[str, dict[str, Reader]] = {}

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
        """
        reader = self._reader(str(self.data.paths[row]))
        if reader is None:
            return None
        key = _key(reader, SIDES[size])
        if key is not None and (cached := self.cache.get(key)) is not None:
            return cached
        with self._slots:  # each concurrent call has a decoder process
            made = thumbnail(reader, self._decoder, SIDES[size], FORMAT)
        if made is not None and key is not None:
            self.cache.put(key, made)
        return made

    def _reader(self, path: str) -> Reader | None:
        if not is_inside(path):
            return None
        for root in self.data.roots:
            if (file := file_inside(root, path)) is not None:
                return FileBytes(str(file))
            if (archive := archive_inside(root, path)) is not None:
                return self._of_archive(root, str(archive)).get(path)
        return None

    def _of_archive(self, root: str, archive: str) -> dict[str, Reader]:
        """Return the readers of all images in an archive, which is listed once."""
        with self._lock:
            if archive not in self._members:
                prefix = archive.removeprefix(root).lstrip("/")
                paths = [path for path in self.data.paths.tolist() if path.startswith(prefix)]
                self._members[archive] = find_readers(paths, [root])
            return self._members[archive]


def _key(reader: Reader, side: int) -> str | None:
    """Return a digest of an image's location and file status, or None if they cannot be read.

    The content hash of the feature file is not used, because a feature file of unknown origin may
    state the hash of any image.
    """
    try:
        status = reader.stat()
    except (ImageError, OSError):
        return None
    if status is None:
        return None
    text = f"{reader.absolute()!r}\0{status!r}\0{side}\0{FORMAT}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
