"""Functions for paths in archives and tables, which are text and not path objects.

Creating a path object takes about ten times as long as these functions, which matters for millions
of names.
"""

import os
import re
from pathlib import Path, PurePosixPath

_IRREGULAR = re.compile(r"(?:^|/)\.?(?:/|$)")
"""Pattern of an empty part or a part ``.`` of a path, and of a slash at its start or end."""


def plain_path(name: str) -> str:
    """Return the path ``str(PurePosixPath(name))``, without empty parts and parts ``.``.

    Examples
    --------
    >>> plain_path("a/b.png"), plain_path("./a//b.png"), plain_path("/a/"), plain_path("")
    ('a/b.png', 'a/b.png', '/a', '.')
    """
    return name if _IRREGULAR.search(name) is None else str(PurePosixPath(name))


def path_parts(name: str) -> tuple[str, ...]:
    """Return the parts ``PurePosixPath(name).parts``.

    Examples
    --------
    >>> path_parts("a/b.png"), path_parts("./a//b.png"), path_parts("/a"), path_parts("")
    (('a', 'b.png'), ('a', 'b.png'), ('/', 'a'), ())
    """
    return PurePosixPath(name).parts if _IRREGULAR.search(name) else tuple(name.split("/"))


def suffix_of(name: str) -> str:
    """Return the suffix ``PurePosixPath(name).suffix`` in lower case.

    Examples
    --------
    >>> [suffix_of(name) for name in ("a/b.PNG", "a.b/c", ".png", "a.", "a.b/")]
    ['.png', '', '', '', '.b']
    """
    base = plain_path(name).rpartition("/")[2]
    dot = base.rfind(".")
    return base[dot:].lower() if 0 < dot < len(base) - 1 else ""


def joined_path(folder: str, name: str) -> str:
    """Return the local path ``str(Path(folder, name))`` for an absolute folder."""
    if os.sep != "/" or name.startswith("/") or _IRREGULAR.search(name) is not None:
        return str(Path(folder, name))
    return folder + name if folder.endswith("/") else f"{folder}/{name}"
