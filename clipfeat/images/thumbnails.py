"""Thumbnails of images for HTML pages."""

import io
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath
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
    least_side = 2 * side if file_format == "JPEG" else 0
    try:
        with decoder.decoded(reader.read(), least_side) as decoded:
            image = Image.fromarray(decoded.pixels)
            image.thumbnail((side, side))
    except ImageError:
        return None
    data = io.BytesIO()
    image.save(data, file_format, **({"quality": JPEG_QUALITY} if file_format == "JPEG" else {}))
    return data.getvalue()


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
    for path in filter(is_inside, paths):
        for root in roots:
            if file := file_inside(root, path):
                readers[path] = FileBytes(str(file))
                break
            archive = archive_inside(root, path)
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
    parts = PurePosixPath(path).parts
    parents = ["/".join(parts[:n]) for n in range(1, len(parts))]
    parents.append(path.rpartition("#")[0])
    files = (file_inside(root, parent) for parent in parents)
    return next((file for file in files if file is not None), None)
