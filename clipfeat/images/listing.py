"""A list of paths: standard input, one image a line."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from clipfeat.images.decode import SUFFIXES
from clipfeat.images.readers import whole_file
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, listed
from clipfeat.system.locations import is_remote, location


def is_image(spec: str) -> bool:
    """Whether a source is something that is there under an image's name."""
    if Path(spec).suffix.lower() not in SUFFIXES:
        return False
    return location(spec).exists() if is_remote(spec) else os.path.lexists(spec)


def open_listing(paths: Iterable[str], name: str = "the list") -> ImageSource:
    """List the images at the given paths, in their order; blank lines are passed over."""
    records = [
        ImageRecord(path=line, reader=whole_file(line if is_remote(line) else str(Path(line))))
        for line in (text.rstrip("\r\n") for text in paths)
        if line.strip()
    ]
    return listed(name, str(Path.cwd()), records)


def open_standard_input() -> ImageSource:
    """List the paths on standard input."""
    return open_listing(sys.stdin, "the list on standard input")
