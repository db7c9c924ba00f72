"""Where files are: on this machine, or where fsspec reaches (``s3://``, ``gs://``, ``memory://``).

A remote location has the methods of `pathlib.Path` that are used here, by universal_pathlib. It
cannot be renamed or locked; instead, one request writes a file whole or not at all.
"""

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

from clipfeat.errors import UsageError, missing_extra

_URL = re.compile(r"([a-z][a-z0-9]+):/{1,3}(?=[^/])")
"""A drive's letter is one; and `Path`, which command lines make, leaves one slash of two."""

_EXTRAS = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
}


def is_remote(path: str | Path) -> bool:
    """Whether a path is of no file system of this machine's.

    Examples
    --------
    >>> is_remote("s3://bucket/out.h5"), is_remote(Path("s3://bucket")), is_remote("C:/out.h5")
    (True, True, False)
    """
    return _URL.match(str(path)) is not None


def location(path: str | Path) -> Path:
    """A path as what can be read and written.

    Raises
    ------
    UsageError
        If nothing knows its protocol.
    MissingExtraError
        If what knows it is not installed.
    """
    return _remote(as_url(path)) if is_remote(path) else Path(path)


def as_url(path: str | Path) -> str:
    """A path as text, with both slashes of a URL's.

    Examples
    --------
    >>> as_url(Path("s3://bucket/out.h5")), as_url("a/b")
    ('s3://bucket/out.h5', 'a/b')
    """
    return _URL.sub(r"\1://", str(path), count=1)


@lru_cache(maxsize=4096)
def _remote(url: str) -> Path:
    from upath import UPath

    protocol = url.partition(":")[0]
    try:
        # Others write there too: a listing is never kept.
        found = UPath(url, use_listings_cache=False)
        found.fs  # noqa: B018 -- imports what knows the protocol
    except ValueError as error:
        raise UsageError(f"{url}: nothing reads {protocol}:// ({error})") from error
    except ImportError as error:
        library, extra = _EXTRAS.get(protocol, (str(error), ""))
        if extra:
            raise missing_extra(f"{protocol}://", library, extra) from error
        raise UsageError(f"{url}: {error}") from error
    return cast(Path, found)


def absolute(path: str | Path) -> str:
    """A path that holds in any working folder."""
    return as_url(path) if is_remote(path) else str(Path(path).absolute())


def folder_of(path: str) -> str:
    """The absolute folder that a file is in.

    Examples
    --------
    >>> folder_of("s3://bucket/a.tar")
    's3://bucket'
    """
    return as_url(Path(absolute(path)).parent)


def common_folder(folders: Sequence[str]) -> str:
    """The folder that holds all of some absolute ones.

    Raises
    ------
    UsageError
        If there is none: some are on this machine, some are not.

    Examples
    --------
    >>> common_folder(["s3://bucket/a/x", "s3://bucket/a/y"])
    's3://bucket/a'
    """
    try:
        found = os.path.commonpath(folders)
    except ValueError as error:
        raise UsageError(f"no folder holds both {folders[0]} and {folders[-1]}") from error
    return as_url(found)


def below(folder: str, path: str) -> str:
    """A path relative to a folder that holds it, with slashes.

    Examples
    --------
    >>> below("s3://bucket/a", "s3://bucket/a/x/y"), below("/a", "/a")
    ('x/y', '')
    """
    found = Path(as_url(path)).relative_to(Path(as_url(folder))).as_posix()
    return "" if found == "." else found
