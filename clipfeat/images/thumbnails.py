"""Small pictures of images, for pages."""

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from clipfeat.errors import ClipfeatError, ImageError
from clipfeat.images import open_source
from clipfeat.images.decode import decode
from clipfeat.images.readers import FileBytes, Reader

SIDE = 96


def thumbnail(reader: Reader, side: int = SIDE) -> bytes | None:
    """A PNG file of at most `side` pixels a side; None if the image cannot be read."""
    try:
        image = Image.fromarray(decode(reader.read()).pixels)
    except ImageError:
        return None
    image.thumbnail((side, side))
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def thumbnails(paths: Sequence[str], roots: Sequence[str | Path]) -> dict[str, bytes]:
    """Small pictures by path, of those that are there.

    Parameters
    ----------
    paths : sequence of str
        Relative to one of the roots; or within a file there: ``"train.tar/1.jpg"``.
    roots : sequence of path
        Folders, tried in turn.
    """
    found: dict[str, bytes] = {}
    within: dict[Path, dict[str, str]] = {}
    for path in paths:
        for root in roots:
            if (Path(root) / path).is_file():
                png = thumbnail(FileBytes(str(Path(root) / path)))
                if png is not None:
                    found[path] = png
                break
            holder = _holder(Path(root), path)
            if holder is not None:
                inner = PurePosixPath(path).relative_to(holder.relative_to(root).as_posix())
                within.setdefault(holder, {})[f"{holder.name}/{inner}"] = path
                break
    for holder, wanted in within.items():
        try:
            records = [record for record in open_source(holder) if record.path in wanted]
        except ClipfeatError:
            continue
        for record in records:
            if (png := thumbnail(record.reader)) is not None:
                found[wanted[record.path]] = png
    return found


def _holder(root: Path, path: str) -> Path | None:
    """The file that a path leads through."""
    parts = PurePosixPath(path).parts
    steps = (root.joinpath(*parts[:n]) for n in range(1, len(parts)))
    return next((step for step in steps if step.is_file()), None)
