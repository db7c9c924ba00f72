"""Names of columns: those that clipfeat writes, and those of the user.

A row for a part of a file (a frame, a face or a view) has values in the columns ``file``, ``view``,
``face`` and ``time``. A source may have columns of these names too. They are stored with an
underscore at the end, so that they cannot be confused with clipfeat's own columns. Users can still
select such a column by its original name, unless clipfeat has written a column of that name.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from clipfeat.features.usual_names import plain_name

OWN_COLUMNS = ("file", "view", "face", "time")
"""Columns that clipfeat writes for the parts of a file."""

RESERVED = frozenset({*OWN_COLUMNS, "path", "label", "group", ""})
"""Names that a column of a source cannot have. Three of them name fields of a feature set."""

Strings = NDArray[np.str_]


def stored_names(names: Collection[str]) -> dict[str, str]:
    """Map each reserved name among a source's columns to the name under which it is stored.

    Examples
    --------
    >>> stored_names(["view", "camera"]), stored_names(["file", "file_"])
    ({'view': 'view_'}, {'file': 'file__'})
    """
    renamed = {}
    for name in names:
        if name in RESERVED:
            stored = name + "_"
            while stored in names:
                stored += "_"
            renamed[name] = stored
    return renamed


def find_column(name: str, known: Iterable[str]) -> str | None:
    """Return the name of a column that a user selects, or None if there is no such column.

    If no column has exactly this name, capitals, spaces, hyphens and underscores are ignored. The
    result is None if several columns then match.

    Examples
    --------
    >>> find_column("view", ["view_"]), find_column("view", ["view", "view_"])
    ('view_', 'view')
    >>> find_column("Camera ID", ["camera_id"]), find_column("camera", ["Camera", "CAMERA"])
    ('camera_id', None)
    """
    names = set(known)
    if name in names:
        return name
    if name in RESERVED and name + "_" in names:
        return name + "_"
    alike = [one for one in names if plain_name(one) == plain_name(name)]
    return alike[0] if len(alike) == 1 else None


def is_part(path: str, file: str) -> bool:
    """Return whether the path of a row refers to the given file or to a part of it.

    Examples
    --------
    >>> is_part("a.mp4@0001.000s", "a.mp4"), is_part("a.jpg#hflip", "a.jpg"), is_part("a/b", "a")
    (True, True, False)
    """
    return path.startswith(file) and path[len(file) : len(file) + 1] in {"", "#", "@"}


def with_own_files(columns: Mapping[str, Strings], paths: Strings) -> dict[str, Strings]:
    """Move the values of the column ``file`` that clipfeat did not write to ``file_``.

    Version 0.1 stored a source's column ``file`` under its own name, so the column of an old
    feature file may contain the user's values.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n_rows,)
        Columns of a feature file.
    paths : ndarray of shape (n_rows,)
        Paths of its rows.
    """
    files = columns.get("file")
    if files is None:
        return dict(columns)
    parts = [is_part(*pair) for pair in zip(paths.tolist(), files.tolist(), strict=True)]
    own = np.array(parts, dtype=np.bool_) | (files == "")
    if own.all():
        return dict(columns)
    kept = dict(columns)
    kept[stored_names(columns)["file"]] = np.where(own, "", files)
    if (own & (files != "")).any():
        kept["file"] = np.where(own, files, "")
    else:
        del kept["file"]
    return kept
