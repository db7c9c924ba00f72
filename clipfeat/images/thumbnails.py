"""Thumbnails of images for HTML pages."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePath, PurePosixPath
from threading import Lock
from typing import Literal

from PIL import Image

from clipfeat.errors import ClipfeatError, ImageError
from clipfeat.images import open_source
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.readers import FileBytes, Reader

SIDE = 96
JPEG_QUALITY = 85


def thumbnail(
    reader: Reader,
    decoder: IsolatedDecoder,
    side: int = SIDE,
    file_format: Literal["PNG", "JPEG"] = "PNG",
) -> bytes | None:
    """Make a thumbnail of at most `side` pixels per side. Return None if the image is unreadable.

    A JPEG thumbnail is smaller than a PNG thumbnail. It is also made faster, because the decoder
    may reduce a large photograph.
    """
    try:
        return thumbnail_of(reader.read(), decoder, side, file_format)
    except ImageError:
        return None


def thumbnail_of(
    data: bytes, decoder: IsolatedDecoder, side: int, file_format: Literal["PNG", "JPEG"]
) -> bytes:
    """Make a thumbnail of the bytes of an image file. See `thumbnail`.

    Raises
    ------
    DecodeError
        If the image cannot be decoded.
    """
    least_side = 2 * side if file_format == "JPEG" else 0
    with decoder.decoded(data, least_side) as decoded:
        image = Image.fromarray(decoded.pixels)
        image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, file_format, **({"quality": JPEG_QUALITY} if file_format == "JPEG" else {}))
    return out.getvalue()


def thumbnails(paths: Sequence[str], roots: Sequence[str | Path]) -> dict[str, bytes]:
    """Make thumbnails of the images that can be read.

    Parameters
    ----------
    paths, roots
        As in `find_readers`.

    Returns
    -------
    dict of str to bytes
        PNG files by path.
    """
    readers = find_readers(paths, roots)
    if not readers:
        return {}
    with IsolatedDecoder() as decoder:
        pictures = {path: thumbnail(reader, decoder) for path, reader in readers.items()}
    return {path: png for path, png in pictures.items() if png is not None}


def is_inside(path: str) -> bool:
    """Return whether a path from a feature file stays below the root that it is relative to."""
    return not PurePath(path).is_absolute() and ".." not in PurePath(path).parts


def file_inside(root: str | Path, path: str) -> Path | None:
    """Return the file of a path below a root, or None if there is none.

    A link that leads out of the root counts as no file.
    """
    file = Path(root, path)
    try:
        usable = is_inside(path) and file.is_file()
        usable = usable and file.resolve().is_relative_to(Path(root).resolve())
    except (OSError, ValueError):  # for example a loop of links, or a zero byte
        usable = False
    return file if usable else None


def find_readers(paths: Sequence[str], roots: Sequence[str | Path]) -> dict[str, Reader]:
    """Find the images that paths in feature files name.

    Paths and links that lead out of a root are left out.

    Parameters
    ----------
    paths : sequence of str
        Paths relative to one of the roots. A path may continue inside an archive, such as
        ``"train.tar/1.jpg"``, or name a row of a Parquet file, such as ``"train.parquet#1"``.
    roots : sequence of path
        Folders to search, in this order.

    Returns
    -------
    dict of str to Reader
        Readers by path, without those of missing images.
    """
    readers: dict[str, Reader] = {}
    inner_paths: dict[Path, dict[str, str]] = {}
    archives = cache(archive_of)  # the members of an archive have the same parents
    for path in filter(is_inside, paths):
        for root in roots:
            if file := file_inside(root, path):
                readers[path] = FileBytes(str(file))
                break
            archive = archives(root, parents_of(path))
            if archive is not None:
                above = archive.parent.relative_to(root).as_posix()
                inner = path if above == "." else path.removeprefix(f"{above}/")
                inner_paths.setdefault(archive, {})[inner] = path
                break
    for archive, members in inner_paths.items():
        try:
            records = [record for record in open_source(archive) if record.path in members]
        except ClipfeatError:
            continue
        readers |= {members[record.path]: record.reader for record in records}
    return readers


def archive_inside(root: str | Path, path: str) -> Path | None:
    """Return the archive in a path such as ``train.tar/1.jpg``, or None if there is none."""
    return archive_of(root, parents_of(path))


def parents_of(path: str) -> tuple[str, ...]:
    """Return the paths above a path, outermost first, which may be those of archives."""
    parts = PurePosixPath(path).parts
    above = ["/".join(parts[:n]) for n in range(1, len(parts))]
    return (*above, path.rpartition("#")[0])


def archive_of(root: str | Path, parents: tuple[str, ...]) -> Path | None:
    """Return the first of the paths above a path that is a file, or None if there is none."""
    files = (file_inside(root, parent) for parent in parents)
    return next((file for file in files if file is not None), None)


class ImageFinder:
    """Readers of images by path. Each archive is listed once. Several threads may use the object.

    Parameters
    ----------
    paths : sequence of str
        Paths of all images, as in `find_readers`.
    roots : sequence of path
        As in `find_readers`.
    """

    def __init__(self, paths: Sequence[str], roots: Sequence[str | Path]) -> None:
        self._paths = paths
        self._roots = roots
        self._members: dict[Path, dict[str, Reader]] = {}
        self._lock = Lock()

    def reader(self, path: str) -> Reader | None:
        """Return the reader of an image, or None if it cannot be found."""
        if not is_inside(path):
            return None
        for root in self._roots:
            if (file := file_inside(root, path)) is not None:
                return FileBytes(str(file))
            if (archive := archive_inside(root, path)) is not None:
                return self._of_archive(root, archive).get(path)
        return None

    def _of_archive(self, root: str | Path, archive: Path) -> dict[str, Reader]:
        with self._lock:  # listing a large archive takes long
            if archive not in self._members:
                start = archive.relative_to(root).as_posix()
                members = [
                    path for path in self._paths if path.startswith((f"{start}/", f"{start}#"))
                ]
                self._members[archive] = find_readers(members, [root])
            return self._members[archive]
