"""The folder of this user's caches."""

import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """Return the folder of this user's caches for clipfeat, which may not exist.

    The environment variable ``XDG_CACHE_HOME`` (on Windows ``LOCALAPPDATA``) replaces the default
    folder ``~/.cache``.
    """
    name = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    given = os.environ.get(name, "")
    return (Path(given) if given else Path("~/.cache").expanduser()) / "clipfeat"
