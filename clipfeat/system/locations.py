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

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):([\\/]{1,3})([^\\/].*)", re.DOTALL)
"""A drive's letter is one; and `Path`, which command lines make, leaves one slash of two."""

_LOCAL = frozenset({"file", "local"})

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
    return "://" in as_url(path)


def location(path: str | Path) -> Path:
    """A path as what can be read and written.

    Raises
    ------
    UsageError
        If nothing knows its protocol.
    MissingExtraError
        If what knows it is not installed.
    """
    text = as_url(path)
    if "://" not in text:
        return Path(path) if text == str(path) else Path(text)
    return _remote(text)


def local_path(path: str | Path) -> Path:
    """A path on this machine.

    Raises
    ------
    UsageError
        If it is none.
    """
    if is_remote(path):
        raise UsageError(
            f"{as_url(path)}: only feature files and exports are written to object stores; name a "
            "path on this machine"
        )
    return location(path)


def as_url(path: str | Path) -> str:
    """A path as text: of a URL, with both slashes and none at the end.

    Examples
    --------
    >>> as_url(Path("s3://bucket/a/")), as_url("a/b"), as_url("file:///a/b")
    ('s3://bucket/a', 'a/b', '/a/b')
    """
    text = str(path)
    found = _URL.fullmatch(text)
    if found is None:
        return text
    protocol, slashes, rest = found[1].lower(), found[2], found[3]
    if protocol in _LOCAL:
        return "/" + rest
    if len(slashes) == 1 and protocol not in _known():
        return text  # a folder here, of an unusual name
    return f"{protocol}://{rest.replace(chr(92), '/').rstrip('/')}"


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    from fsspec import available_protocols

    return frozenset(available_protocols())


@lru_cache(maxsize=4096)
def _remote(url: str) -> Path:
    from upath import UPath

    protocol = url.partition("://")[0]
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
    n_remote = sum(map(is_remote, folders))
    # A bucket is the least that two have in common: "s3:" is no folder.
    n_same = len({folder.partition("://")[2].partition("/")[0] for folder in folders})
    try:
        found = as_url(os.path.commonpath(folders))
    except ValueError:
        found = ""
    if not found or (n_remote and (n_remote < len(folders) or n_same > 1)):
        raise UsageError(f"no folder holds both {folders[0]} and {folders[-1]}")
    return found


def below(folder: str, path: str) -> str:
    """A path relative to a folder that holds it, with slashes.

    Examples
    --------
    >>> below("s3://bucket/a", "s3://bucket/a/x/y"), below("/a", "/a")
    ('x/y', '')
    """
    found = Path(as_url(path)).relative_to(Path(as_url(folder))).as_posix()
    return "" if found == "." else found
