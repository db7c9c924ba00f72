"""Local paths, and URLs of stores that fsspec reaches (``s3://``, ``gs://``, ``memory://``).

universal_pathlib provides remote paths with the methods of `pathlib.Path` that are used here. A
remote file cannot be renamed or locked, but a single request writes it atomically.
"""

import os
import posixpath
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from clipfeat.errors import UsageError, missing_extra

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):([\\/]{1,3})([^\\/].*)", re.DOTALL)
"""Pattern of a URL.

A scheme has two letters or more, unlike the drive letter of a Windows path. One slash is accepted,
because `Path` turns the two slashes of a URL into one.
"""

_LOCAL = frozenset({"file", "local"})

WEB = frozenset({"http", "https"})
WEB_SECONDS = 30.0
"""Seconds that a web server may take to accept a connection, or to send the headers."""

_EXTRAS = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
}


def is_remote(path: str | Path) -> bool:
    """Return whether a path is a URL of a remote store.

    Examples
    --------
    >>> is_remote("s3://bucket/out.h5"), is_remote(Path("s3://bucket")), is_remote("C:/out.h5")
    (True, True, False)
    """
    return "://" in as_url(path)


def location(path: str | Path) -> Path:
    """Return a path object that can be read and written.

    Raises
    ------
    UsageError
        If fsspec does not know the protocol.
    MissingExtraError
        If the protocol's library is not installed.
    """
    text = as_url(path)
    if "://" not in text:
        return Path(path) if text == str(path) else Path(text)
    return _remote(text)


def followed(path: Path) -> Path:
    """Return the path that a symbolic link leads to, or `path` itself if it is not a link.

    Only the last part of the path is followed, so that messages show the path that the user gave.
    """
    if is_remote(path) or not path.is_symlink():
        return path
    return Path(os.path.realpath(path))


def local_path(path: str | Path) -> Path:
    """Return a path as a `Path`, and refuse URLs.

    Raises
    ------
    UsageError
        If the path is remote.
    """
    if is_remote(path):
        raise UsageError(
            f"{as_url(path)} is remote, but only feature files and exports can be written to "
            "object stores. Pass a local path."
        )
    return location(path)


def as_url(path: str | Path) -> str:
    """Return a path as text. For a URL, restore the double slash and drop a trailing slash.

    Examples
    --------
    >>> as_url(Path("s3://bucket/a/")), as_url("a/b"), as_url("file:///a/b")
    ('s3://bucket/a', 'a/b', '/a/b')
    """
    text = str(path)
    if ":" not in text:
        return text
    match = _URL.fullmatch(text)
    if match is None:
        return text
    protocol, slashes, rest = match[1].lower(), match[2], match[3]
    if protocol in _LOCAL:
        return "/" + rest
    if len(slashes) == 1 and protocol not in _known_protocols():
        return text  # a local folder with a colon in its name
    return f"{protocol}://{rest.replace(chr(92), '/').rstrip('/')}"


@lru_cache(maxsize=1)
def _known_protocols() -> frozenset[str]:
    from fsspec import available_protocols

    return frozenset(available_protocols())


@lru_cache(maxsize=4096)
def _remote(url: str) -> Path:
    from upath import UPath

    protocol = url.partition("://")[0]
    try:
        # Other processes write to the same place, so listings are never cached.
        path = UPath(url, use_listings_cache=False, **web_options(protocol))
        path.fs  # noqa: B018 -- imports the protocol's library
    except ValueError as error:
        raise UsageError(
            f"unknown protocol {protocol}:// in {url} ({error}). Use a local path, or a URL of a "
            "known protocol, such as s3:// or gs://."
        ) from error
    except ImportError as error:
        library, extra = _EXTRAS.get(protocol, (str(error), ""))
        if extra:
            raise missing_extra(f"{protocol}://", library, extra) from error
        raise UsageError(
            f"{url} needs a library that is not installed ({error}). Install the library that "
            f"fsspec uses for {protocol}://."
        ) from error
    return cast(Path, path)


def web_options(protocol: str) -> dict[str, Any]:
    """Return limits for a web server. The library's own limit is 5 minutes for each file."""
    if protocol not in WEB:
        return {}
    from aiohttp import ClientTimeout

    from clipfeat.system.web import LimitedResponse

    timeout = ClientTimeout(total=None, connect=WEB_SECONDS, sock_read=WEB_SECONDS)
    return {"client_kwargs": {"timeout": timeout, "response_class": LimitedResponse}}


def absolute(path: str | Path) -> str:
    """Return an absolute path or URL."""
    return as_url(path) if is_remote(path) else str(Path(path).absolute())


def folder_of(path: str) -> str:
    """Return the absolute folder of a file.

    Examples
    --------
    >>> folder_of("s3://bucket/a.tar")
    's3://bucket'
    """
    return as_url(Path(absolute(path)).parent)


def common_folder(folders: Sequence[str]) -> str:
    """Return the deepest folder that contains all of the given absolute folders.

    Raises
    ------
    UsageError
        If there is no common folder, for example because only some of the folders are remote.

    Examples
    --------
    >>> common_folder(["s3://bucket/a/x", "s3://bucket/a/y"])
    's3://bucket/a'
    """
    n_remote = sum(map(is_remote, folders))
    # Remote folders must share a bucket: "s3:" is not a folder.
    n_buckets = len({folder.partition("://")[2].partition("/")[0] for folder in folders})
    try:
        common = as_url(os.path.commonpath(folders))
    except ValueError:
        common = ""
    if not common or (n_remote and (n_remote < len(folders) or n_buckets > 1)):
        raise UsageError(
            f"{folders[0]} and {folders[-1]} have no common folder. Put the sources below one "
            "folder or bucket."
        )
    return common


def below(folder: str, path: str) -> str:
    """Return a path relative to a folder that contains it, with forward slashes.

    Examples
    --------
    >>> below("s3://bucket/a", "s3://bucket/a/x/y"), below("/a", "/a")
    ('x/y', '')
    """
    relative = Path(as_url(path)).relative_to(Path(as_url(folder))).as_posix()
    return "" if relative == "." else relative


def prefixed(prefix: str, path: str) -> str:
    """Convert a path relative to one folder to a path relative to a folder above it.

    Parameters
    ----------
    prefix : str
        Path from the upper folder to the lower folder, with a slash at its end, or empty.
    path : str
        Path relative to the lower folder. A URL or an absolute path is returned unchanged.

    Examples
    --------
    >>> prefixed("a/", "x/1.jpg"), prefixed("a/", "../b/1.jpg"), prefixed("a/", "/1.jpg")
    ('a/x/1.jpg', 'b/1.jpg', '/1.jpg')
    """
    if not prefix or is_remote(path) or Path(path).is_absolute():
        return path
    joined = prefix + path
    return posixpath.normpath(joined) if ".." in path.split("/") else joined
