"""Lists of paths, given as arguments or on standard input with one path per line."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from clipfeat.images.formats import HEAD_BYTES, SUFFIXES, plugin_format, recognise
from clipfeat.images.readers import read_head, whole_file
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.images.table_paths import check_addresses
from clipfeat.system.locations import is_remote, location


def is_image(spec: str) -> bool:
    """Return whether a source is an existing file with the suffix or first bytes of an image."""
    suffix = Path(spec).suffix.lower()
    if suffix in SUFFIXES or plugin_format(suffix):
        return location(spec).exists() if is_remote(spec) else os.path.lexists(spec)
    return not is_remote(spec) and bool(recognise(read_head(spec, HEAD_BYTES)))


def open_listing(paths: Iterable[str], name: str = "the list") -> ImageSource:
    """List the images at the given paths, in the given order. Blank lines are skipped."""
    records = [
        ImageRecord(path=line, reader=whole_file(line if is_remote(line) else str(Path(line))))
        for line in (text.rstrip("\r\n") for text in paths)
        if line.strip()
    ]
    return make_source(name, str(Path.cwd()), records)


def open_standard_input(*, allow_remote: bool = False) -> ImageSource:
    """List the images whose paths are on standard input.

    Local paths may be anywhere, because the user's own command writes them.

    Raises
    ------
    UsageError
        If the list has addresses that `clipfeat.images.table_paths` does not allow.
    """
    name = "the list on standard input"
    paths = [text.rstrip("\r\n") for text in sys.stdin]
    check_addresses(name, list(filter(is_remote, paths)), allow_remote=allow_remote)
    return open_listing(paths, name)
