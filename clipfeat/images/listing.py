"""A list of paths: standard input, one image a line."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from clipfeat.images.decode import SUFFIXES
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, listed


def is_image(spec: str) -> bool:
    """Whether a source is something that is there under an image's name."""
    return Path(spec).suffix.lower() in SUFFIXES and os.path.lexists(spec)


def open_listing(paths: Iterable[str], name: str = "the list") -> ImageSource:
    """List the images at the given paths, in their order; blank lines are passed over."""
    records = [
        ImageRecord(path=line, file=str(Path(line)))
        for line in (text.rstrip("\r\n") for text in paths)
        if line.strip()
    ]
    return listed(name, str(Path.cwd()), records)


def open_standard_input() -> ImageSource:
    """List the paths on standard input."""
    return open_listing(sys.stdin, "the list on standard input")
