"""Labels and groups as text: missing values, and the numbers of one class."""

import re
from collections.abc import Collection

MISSING = frozenset({"", "nan", "none", "null", "<na>", "nat"})
"""Texts in lower case that stand for a missing value in a table."""

_MISSING_CLASS = frozenset({"none", "null"})
"""Texts of `MISSING` that are class names if they are in lower case."""

_TRUTH = {"true": "1", "false": "0"}


def present(text: str) -> str:
    """Return a value of a table without surrounding spaces, or empty text for a missing value.

    The lower-case words ``none`` and ``null`` are values.

    Examples
    --------
    >>> present(" cat "), present("NaN"), present("None"), present("none")
    ('cat', '', '', 'none')
    """
    value = text.strip().strip("\0\ufeff")
    is_missing = value.lower() in MISSING and value not in _MISSING_CLASS
    return "" if is_missing else value


def class_names(labels: Collection[str]) -> dict[str, str]:
    """Map labels to classes: ``1``, ``1.0`` and ``True`` are one class, and so are their opposites.

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


def _whole_number(label: str) -> str:
    number = re.fullmatch(r"([+-]?[0-9]{1,15})\.0*", label)
    return str(int(number[1])) if number else label
