"""Labels and groups as text: missing values, and the spellings of one class."""

import re
import unicodedata
from collections.abc import Collection, Mapping

from clipfeat.errors import LabelError

MISSING = frozenset({"", "nan", "none", "null", "<na>", "nat"})
"""Texts in lower case that stand for a missing value in a table."""

_MISSING_CLASS = frozenset({"none", "null"})
"""Texts of `MISSING` that are class names if they are in lower case."""

MAX_LISTED = 5
"""Maximum number of classes that a message lists with their spellings."""

_TRUTH = {"true": "1", "false": "0"}


def present(text: str) -> str:
    """Return a value of a table without surrounding spaces, or empty text for a missing value.

    The lower-case words ``none`` and ``null`` are not missing values, but class names.

    Examples
    --------
    >>> present(" cat "), present("NaN"), present("None"), present("none")
    ('cat', '', '', 'none')
    """
    value = text.strip().strip("\0\ufeff")
    is_missing = value.lower() in MISSING and value not in _MISSING_CLASS
    return "" if is_missing else value


def class_names(labels: Collection[str]) -> dict[str, str]:
    """Map labels to class names, so that ``1``, ``1.0`` and ``True`` become one class.

    Programs write the same class as a whole number, a decimal number or a truth value. Truth values
    are replaced only if all labels are numbers or truth values, since ``true`` may also be the
    opposite of ``fake``.

    Examples
    --------
    >>> class_names(["1.0", "True", "false", "01"])
    {'1.0': '1', 'True': '1', 'false': '0', '01': '01'}
    >>> class_names(["true", "fake"])
    {'true': 'true', 'fake': 'fake'}
    """
    whole = {label: _whole_number(label) for label in labels}
    names = set(whole.values()) - {""}
    if all(name.lower() in _TRUTH or name.lstrip("+-").isdecimal() for name in names):
        return {label: _TRUTH.get(name.lower(), name) for label, name in whole.items()}
    return whole


def count_texts(counts: Mapping[str, int], number: str = "{:d}") -> list[str]:
    """Return the number of images of each class as text.

    If the name of a class has no letters, each text has the form ``112 of class 0``.

    Parameters
    ----------
    counts : mapping of str to int
        Number of images by class.
    number : str, optional
        Format of the number.

    Examples
    --------
    >>> count_texts({"fake": 448, "real": 112})
    ['448 fake', '112 real']
    >>> count_texts({"0": 112, "1": 448})
    ['112 of class 0', '448 of class 1']
    """
    is_clear = all(any(sign.isalpha() for sign in name) for name in counts)
    form = f"{number} {{name}}" if is_clear else f"{number} of class {{name}}"
    return [form.format(n, name=name) for name, n in counts.items()]


def one_spelling(counts: Mapping[str, int], like: Collection[str] = ()) -> dict[str, str]:
    """Map labels that differ only in capitals, spaces or Unicode form to one spelling.

    Parameters
    ----------
    counts : mapping of str to int
        Number of images of each label.
    like : collection of str
        Spellings to prefer. Otherwise, the most frequent spelling is chosen. If several spellings
        are equally frequent, the first of them in alphabetical order is chosen.

    Examples
    --------
    >>> one_spelling({"Real": 2, "real": 7, "fake": 9})
    {'Real': 'real', 'real': 'real', 'fake': 'fake'}
    >>> one_spelling({"Real": 2}, like=["real"])
    {'Real': 'real'}
    """
    by_count = sorted(counts, key=lambda label: (-counts[label], label))
    chosen = {_plain(label): label for label in reversed(by_count)}
    chosen |= {_plain(label): label for label in like}
    return {label: chosen[_plain(label)] for label in counts}


def check_spellings(counts: Mapping[str, int], place: str) -> None:
    """Check that no two classes differ only in capitals, spaces or Unicode form.

    Parameters
    ----------
    counts : mapping of str to int
        Number of images of each label. The empty label is ignored.
    place : str
        Name of the source or file, for the message.

    Raises
    ------
    LabelError
        If there are such classes.
    """
    of_plain: dict[str, list[str]] = {}
    for label in sorted(set(counts) - {""}):
        of_plain.setdefault(_plain(label), []).append(label)
    alike = [labels for labels in of_plain.values() if len(labels) > 1]
    if alike:
        listed = "; ".join(
            ", ".join(f"{label!r} ({counts[label]} images)" for label in labels)
            for labels in alike[:MAX_LISTED]
        )
        raise LabelError(
            f"classes of {place} differ only in capitals or spaces: {listed}. Correct the labels, "
            "or pass --merge-labels to merge these classes"
        )


def _plain(label: str) -> str:
    return "".join(unicodedata.normalize("NFC", label).casefold().split())


def _whole_number(label: str) -> str:
    number = re.fullmatch(r"([+-]?[0-9]{1,15})\.0*", label)
    return str(int(number[1])) if number else label
