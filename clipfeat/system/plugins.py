"""Registry entries from other installed packages, through entry points."""

import warnings
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar, cast

from clipfeat.errors import ClipfeatWarning

Entry = TypeVar("Entry")

GROUPS = (
    "clipfeat.encoders",
    "clipfeat.classifiers",
    "clipfeat.metrics",
    "clipfeat.sources",
)


def with_plugins(builtin: Mapping[str, Entry], group: str, kind: type[Entry]) -> dict[str, Entry]:
    """Add the entries of installed packages to a registry.

    Entry points are read from the installed packages' metadata, so worker processes and Ray workers
    find the same entries as their parent.

    Parameters
    ----------
    builtin : mapping of str to entry
        The registry's own entries, by name.
    group : str
        One of `GROUPS`.
    kind : type
        The registry's row type. An entry point must refer to an object of this type.

    Returns
    -------
    dict of str to entry
        Built-in entries first. The name of an added entry is the entry point's.

    Warns
    -----
    ClipfeatWarning
        If an entry cannot be imported, is not of this type, or has the name of a built-in entry.
        It is left out.
    """
    return {**builtin, **_plugins(tuple(builtin), group, cast(Any, kind))}


@cache
def _plugins(taken: tuple[str, ...], group: str, kind: Any) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for point in entry_points(group=group):
        place = f"entry point {point.name!r} of {group} ({point.value})"
        try:
            entry = point.load()
        except Exception as error:  # the import of another package may raise anything
            _warn(f"{place} cannot be imported: {type(error).__name__}: {error}")
            continue
        if not isinstance(entry, kind):
            _warn(f"{place} must be a {kind.__name__}, got a {type(entry).__name__}")
        elif point.name in taken:
            _warn(f"{place} has the name of a built-in entry; rename it")
        else:
            entries[point.name] = entry
    return entries


def _warn(message: str) -> None:
    warnings.warn(f"{message}; it is ignored", ClipfeatWarning, stacklevel=5)
