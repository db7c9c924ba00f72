"""The rule by which names in a table are paired with images.

Tables of labels (``--labels``), submission templates and scores of other detectors (``--scores``)
use this rule. `clipfeat.images.pairing` has the rule for side-car files of tar archives. The result
for a name is exactly one image, no image, or an error.

1. A name in a table is compared with four parts of each image's path, in this order: the path, the
   path without its suffix, the file name, and the file name without its suffix. The first
   comparison that matches an image is used.
2. Two names are equal if their characters are equal. If no name has the same characters, the
   Unicode normal form C of the names is compared, because macOS writes accents as separate
   characters. A leading ``./`` is ignored.
3. Spaces around a name are ignored if no image has the name with them.
4. A name that matches several images is an error.
5. Rows for one image must agree in the label, the group, the split and the score.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from clipfeat.errors import DataError

LEVELS: tuple[Callable[[PurePosixPath], str], ...] = (
    str,
    lambda path: str(path.with_suffix("")),
    lambda path: path.name,
    lambda path: path.stem,
)
"""Parts of an image's path that a name in a table may give, in the order of the rule."""


class Names:
    """Index of names by their characters, and by their normal form.

    Parameters
    ----------
    names : iterable of str
        The names. The position of a name is its index.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, list[int]] = {}
        self._normal: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            self._exact.setdefault(name, []).append(index)
            self._normal.setdefault(unicodedata.normalize("NFC", name), []).append(index)

    def __getitem__(self, name: str) -> list[int]:
        """Return the indices of identical names, or else of names with the same normal form."""
        if name in self._exact:
            return self._exact[name]
        return self._normal.get(unicodedata.normalize("NFC", name), [])


def pair_names(names: Sequence[str], paths: Sequence[str], table: str) -> list[int | None]:
    """Pair the names in a table with images.

    Parameters
    ----------
    names : sequence of str
        Names in the table.
    paths : sequence of str
        Paths of the images, all different.
    table : str
        Name of the table, for messages.

    Returns
    -------
    list of int or None
        Index into `paths` for each name. None if no image has the name.

    Raises
    ------
    DataError
        If a name matches several images. The message shows two of them.

    Examples
    --------
    >>> pair_names(["1", "2.png", "b/3.png", "4"], ["a/1.png", "b/2.png", "b/3.png"], "t.csv")
    [0, 1, 2, None]
    """
    images = [PurePosixPath(path) for path in paths]
    indices: list[int | None] = [None] * len(names)
    for level, spell in [(level, spell) for spell in (str, str.strip) for level in LEVELS]:
        wanted = {i: spell(names[i]) for i, index in enumerate(indices) if index is None}
        wanted = {
            i: str(PurePosixPath(name))
            for i, name in wanted.items()
            if name and (spell is str or name != names[i])
        }
        if not wanted:
            continue
        known = Names(level(image) for image in images)
        for i, name in wanted.items():
            equal = known[name]
            if len(equal) > 1:
                raise DataError(
                    f"the name {names[i]!r} in {table} is the name of {len(equal)} images, such as "
                    f"{paths[equal[0]]!r} and {paths[equal[1]]!r}. Write the paths of the images "
                    "into the table"
                )
            indices[i] = equal[0] if equal else None
    return indices


def how_to_pair(name: str, paths: Sequence[str]) -> str:
    """Return advice on how to correct a name that no image has, or an empty text.

    Examples
    --------
    >>> how_to_pair("train/1.png", ["1.png"]), how_to_pair("1.jpg", ["1.png"])
    ('Leave out the folders of the names', 'Correct the suffixes of the names')
    >>> how_to_pair("7.0", ["007.png"]), how_to_pair("A", ["a.png"]), how_to_pair("b", ["a.png"])
    ('Write the names with leading zeros', 'Write the names with the capitals of the files', '')
    """
    images = [PurePosixPath(path) for path in paths]
    last = PurePosixPath(name.strip().replace("\\", "/"))
    if last.name in {image.name for image in images}:
        return "Leave out the folders of the names"
    stems = {image.stem for image in images}
    if last.stem in stems and last.suffix:
        return "Correct the suffixes of the names"
    number = last.stem if last.suffix in {"", ".0"} else ""
    if number.isdecimal() and any(s.isdecimal() and int(s) == int(number) for s in stems):
        return "Write the names with leading zeros" if number not in stems else ""
    if last.stem.casefold() in {stem.casefold() for stem in stems}:
        return "Write the names with the capitals of the files"
    return ""
