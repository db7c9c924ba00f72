"""Numbers in JSON files of unknown origin."""

import math

MAX_DIGITS = 19
"""Maximum number of digits of an integer."""


def json_integer(text: str) -> int:
    """Convert an integer of a JSON file. Pass this function to `json.loads` as `parse_int`.

    Raises
    ------
    ValueError
        If the integer has more than `MAX_DIGITS` digits. It may then be too large for a float.
    """
    if len(text) > MAX_DIGITS + text.startswith("-"):
        raise ValueError(f"the integer {text[:40]} has more than {MAX_DIGITS} digits")
    return int(text)


def json_float(text: str) -> float:
    """Convert a number of a JSON file. Pass this function to `json.loads` as `parse_float`.

    Raises
    ------
    ValueError
        If the number is too large.
    """
    if not math.isfinite(value := float(text)):
        raise ValueError(f"the number {text[:40]} is too large")
    return value
