"""Lists of paths, given as arguments or on standard input with one path per line."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from clipfeat.images.decode import SUFFIXES
from clipfeat.images.readers import whole_file
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.system.locations import is_remote, location


def is_image(spec: str) -> bool:
    """Return whether a source is an existing path with the suffix of an image."""
    if Path(spec).suffix.lower() not in SUFFIXES:
        return False
    return location(spec).exists() if is_remote(spec) else os.path.lexists(spec)


def open_listing(paths: Iterable[str], name: str = "the list") -> ImageSource:
    """List the images at the given paths, in the given order. Blank lines are skipped."""
    records = [
        ImageRecord(path=line, reader=whole_file(line if is_remote(line) else str(Path(line))))
        for line in (text.rstrip("\r\n") for text in paths)
        if line.strip()
    ]
    return make_source(name, str(Path.cwd()), records)


def open_standard_input() -> ImageSource:
    """List the images whose paths are on standard input."""
    return open_listing(sys.stdin, "the list on standard input")
