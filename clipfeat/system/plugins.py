"""Registry entries that other installed packages add through entry points."""

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
        The type of the registry's entries. An entry point must refer to an object of this type.

    Returns
    -------
    dict of str to entry
        The built-in entries, followed by the added ones under the names of their entry points.

    Warns
    -----
    ClipfeatWarning
        If an added entry cannot be imported, if it is not of the type `kind`, or if it has the name
        of a built-in entry. Such an entry is left out.
    """
    return {**builtin, **_plugins(tuple(builtin), group, cast(Any, kind))}


@cache
def _plugins(taken: tuple[str, ...], group: str, kind: Any) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for point in entry_points(group=group):
        place = f"entry point {point.name!r} of {group} ({point.value})"
        try:
            entry = point.load()
        except Exception as error:  # importing another package may raise any exception
            reason = f"it cannot be imported ({type(error).__name__}: {error})"
            _warn(place, f"{reason}. Repair or uninstall its package.")
            continue
        if not isinstance(entry, kind):
            name = type(entry).__name__
            _warn(
                place, f"its type is {name}, expected {kind.__name__}. Correct it in its package."
            )
        elif point.name in taken:
            _warn(place, "it has the name of a built-in entry. Rename it in its package.")
        else:
            entries[point.name] = entry
    return entries


def _warn(place: str, reason: str) -> None:
    warnings.warn(f"{place} is ignored: {reason}", ClipfeatWarning, stacklevel=5)
