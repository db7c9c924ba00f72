"""Usual names of the columns of paths, labels and groups in a user's table.

Capitals, spaces, hyphens and underscores are ignored.
"""

import re
from collections.abc import Iterable

PATH_NAMES = (
    "path", "filepath", "imagepath", "imgpath", "filename", "imagename", "imgname", "imagefile",
    "imagefilename", "file", "image", "img", "imageid", "imgid", "id",
)  # fmt: skip
"""Usual names of the column of paths, without capitals, spaces, hyphens and underscores."""
LABEL_NAMES = (
    "label", "labels", "class", "classname", "target", "category", "isfake", "isgenerated",
    "isaigenerated", "isai", "aigenerated", "generated", "fake", "y",
)  # fmt: skip
GROUP_NAMES = ("group", "groups", "groupid")


def usual_columns(names: Iterable[str], usual: Iterable[str]) -> list[str]:
    """Return the columns with the most preferred usual name that occurs, or an empty list.

    Parameters
    ----------
    names : iterable of str
        Names of the columns.
    usual : iterable of str
        Usual names in order of preference, as in `PATH_NAMES`.

    Examples
    --------
    >>> usual_columns(["ID", "Image Path", "image_path"], PATH_NAMES), usual_columns("x", "y")
    (['Image Path', 'image_path'], [])
    """
    columns = list(names)
    alike = ([name for name in columns if plain_name(name) == plain] for plain in usual)
    return next((some for some in alike if some), [])


def plain_name(column: str) -> str:
    """Return a column's name without capitals, spaces, hyphens and underscores.

    Examples
    --------
    >>> plain_name("File Name"), plain_name("image_id")
    ('filename', 'imageid')
    """
    return re.sub(r"[\s_-]+", "", column.casefold())
