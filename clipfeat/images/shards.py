"""Patterns of shards: the files of one source, such as ``train-{000..099}.tar`` or ``x-*.zip``."""

import glob
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from braceexpand import braceexpand

from clipfeat.errors import EmptySourceError
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import as_url, is_remote, location


def existing_shards(spec: str) -> list[str]:
    """Return the paths of a file, or of all files of a pattern with braces or wildcards.

    Raises
    ------
    EmptySourceError
        If one of them is missing, or if no file matches.
    """
    shards = expand(spec)
    missing = [shard for shard in shards if not location(shard).is_file()]
    if missing:
        raise EmptySourceError(
            f"{len(missing)} of {len(shards)} shards are missing, for example {missing[0]}. "
            "Correct the path or the pattern"
        )
    return shards


@contextmanager
def open_shard(shard: str) -> Iterator[IO[bytes]]:
    """Open a local or remote shard for reading.

    Raises
    ------
    StorageError
        If an object store does not answer, or if the body of the ``with``
        statement raises an error of an object store.
    """
    if not is_remote(shard):
        with Path(shard).open("rb") as file:
            yield file
        return
    # A failed read is an error of the object store, and does not mean that the shard is damaged.
    with storage_errors(f"reading {shard}"), location(shard).open("rb") as file:
        yield file


def member_path(name: str) -> str:
    r"""Return the name of a member of a shard as a path that stays inside the shard.

    Backslashes become slashes. A drive, a slash at the start, ``.`` and ``..`` are left out.

    Examples
    --------
    >>> member_path("../a//./b.png"), member_path("/etc/x.png"), member_path("C:\\x.png")
    ('a/b.png', 'etc/x.png', 'x.png')
    """
    parts = re.sub(r"\A[A-Za-z]:/", "", name.replace("\\", "/")).split("/")
    return "/".join(part for part in parts if part not in {"", ".", ".."})


def is_pattern(spec: str) -> bool:
    """Return whether a path has braces or wildcards, and is not the name of an existing file."""
    return bool(set(spec) & set("{*?[")) and not location(spec).is_file()


def expand(spec: str) -> list[str]:
    """Expand the braces and wildcards of a pattern. The name of an existing file is not a pattern.

    Examples
    --------
    >>> expand("a-{08..10}.tar")
    ['a-08.tar', 'a-09.tar', 'a-10.tar']
    """
    if not is_pattern(spec):
        return [spec]
    try:
        braced = list(braceexpand(spec, escape=False))  # Windows paths contain backslashes
    except ValueError:  # with unbalanced braces, the text is the name of one file
        braced = [spec]
    return [shard for pattern in braced for shard in _matches(pattern) or [pattern]]


def _matches(pattern: str) -> list[str]:
    """Return the sorted names of the files that match the wildcards of a pattern."""
    if not glob.has_magic(pattern) or location(pattern).is_file():
        return []
    if not is_remote(pattern):
        return sorted(glob.glob(pattern))  # noqa: PTH207 -- keeps relative paths as they are
    remote: Any = location(pattern)
    protocol = as_url(pattern).partition("://")[0]
    return sorted(
        name if "://" in name else f"{protocol}://{name.lstrip('/')}"
        for name in remote.fs.glob(remote.path)
    )
