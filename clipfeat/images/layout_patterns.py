"""Patterns for the folders of a path, such as ``{generator}/{category*}/0_real/**``.

A pattern consists of parts, separated by slashes. Each part stands for one or several folders:

=================  ============================================================================
``0_real``         a folder with this name, in any case; ``a|b`` stands for either name
``real_{source}``  a folder whose name has this form; ``*`` stands for any text
``{generator}``    one folder, whose name is the value of the column ``generator``
``{source?}``      the same, or no folder if one folder is not possible
``{category*}``    any number of folders, as few as possible; their names are the value
``{x:kind}``       a folder whose name is of a kind in `KINDS`
``**``             any number of folders that give no column
``{set}``          a number of folders that is the same for all paths; they give no column
=================  ============================================================================

The literal names in the patterns of a layout, such as ``0_real``, are reserved. Parts such as
``**`` and ``{generator}`` do not match a folder with a reserved name. A path with folders of two
classes, such as ``real/fake``, therefore has no match.
"""

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from clipfeat.images.layout_names import is_generator, is_photographs, is_progan_category

KINDS: Mapping[str, Callable[[str], bool]] = {
    "generator": is_generator,
    "photographs": is_photographs,
    "progan": is_progan_category,
}
"""Kinds of names that a part may require, and the functions that recognise them."""

_PLACE = re.compile(r"\{(\w+)(?::(\w+))?([?*]?)\}")
_UNLIMITED = 99


@dataclass(frozen=True)
class Part:
    """One part of a pattern.

    Parameters
    ----------
    least, most : int
        Smallest and largest number of folders that the part matches.
    column : str
        Column for the folders' names. Empty if there is none.
    kind : str
        Key in `KINDS`. Empty if any name matches.
    name : pattern, optional
        Regular expression for the folder's name. Its named groups become columns.
    """

    least: int = 1
    most: int = 1
    column: str = ""
    kind: str = ""
    name: re.Pattern[str] | None = None


def words_of(pattern: str) -> frozenset[str]:
    """Return the literal names in a pattern, in lower case.

    Examples
    --------
    >>> sorted(words_of("**/real_{source}/Celeb-real|YouTube-real/**"))
    ['celeb-real', 'youtube-real']
    """
    plain = [part for part in pattern.split("/") if not set(part) & set("{*")]
    return frozenset(word for part in plain for word in part.lower().split("|"))


def is_possible(pattern: str, names: Set[str]) -> bool:
    """Return whether each part that requires a name, form or kind matches at least one folder.

    Parameters
    ----------
    pattern : str
        The pattern.
    names : set of str
        Names of all folders of all paths.
    """
    lower = {name.lower() for name in names}
    for text in pattern.split("/"):
        part = _part(text, 0)
        if words := words_of(text):
            if words.isdisjoint(lower):
                return False
        elif (part.name is not None and not any(map(part.name.fullmatch, names))) or (
            part.kind and not any(map(KINDS[part.kind], names))
        ):
            return False
    return True


def match(
    pattern: str, folders: tuple[str, ...], depth: int, reserved: frozenset[str]
) -> dict[str, str] | None:
    """Match a pattern with the folders of a path.

    Parameters
    ----------
    pattern : str
        The pattern.
    folders : tuple of str
        Names of the folders above a file.
    depth : int
        Number of folders that ``{set}`` stands for.
    reserved : frozenset of str
        Reserved names, in lower case.

    Returns
    -------
    dict or None
        Columns with their values, which may be empty. The column ``set`` holds the folders of
        ``{set}``. None if the pattern does not match.
    """
    return _match(_parts(pattern, depth), folders, reserved)


def _match(
    parts: tuple[Part, ...], folders: tuple[str, ...], reserved: frozenset[str]
) -> dict[str, str] | None:
    if not parts:
        return None if folders else {}
    part = parts[0]
    longest = 0
    while longest < min(part.most, len(folders)) and _accepts(part, folders[longest], reserved):
        longest += 1
    lengths = range(part.least, longest + 1)
    for n in reversed(lengths) if part.most == 1 else lengths:
        rest = _match(parts[1:], folders[n:], reserved)
        if rest is not None:
            if part.column:
                rest = {part.column: "/".join(folders[:n]), **rest}
            if part.name is not None and (name_match := part.name.fullmatch(folders[0])):
                rest = {**name_match.groupdict(), **rest}
            return rest
    return None


def _accepts(part: Part, folder: str, reserved: frozenset[str]) -> bool:
    if part.name is not None:
        return part.name.fullmatch(folder) is not None
    if folder.lower() in reserved:
        return False
    return not part.kind or KINDS[part.kind](folder)


@lru_cache(maxsize=1024)
def _parts(pattern: str, depth: int) -> tuple[Part, ...]:
    return tuple(_part(text, depth) for text in pattern.split("/"))


def _part(text: str, depth: int) -> Part:
    if text == "**":
        return Part(0, _UNLIMITED)
    if text == "{set}":
        return Part(depth, depth, "set")
    if place := _PLACE.fullmatch(text):
        column, kind, number = place[1], place[2] or "", place[3]
        least, most = {"": (1, 1), "?": (0, 1), "*": (0, _UNLIMITED)}[number]
        return Part(least, most, column, kind)
    form = "".join(
        f"(?P<{piece[1:-1]}>.+)" if piece.startswith("{") else _name_form(piece)
        for piece in re.split(r"(\{\w+\})", text)
    )
    return Part(name=re.compile(form, re.IGNORECASE))


def _name_form(text: str) -> str:
    return re.escape(text).replace(r"\*", ".*?").replace(r"\|", "|")
