"""What an audit finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SEVERITIES = ("leak", "warning", "note")
"""Worst first: scores cannot be believed; they may be wrong; worth knowing."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Parameters
    ----------
    check : str
        The name of the check in `CHECKS`.
    severity : str
        One of `SEVERITIES`.
    sentence : str
        What was found, for a person.
    numbers : mapping of str to float
        What it rests on, by name.
    rows : sequence of mapping of str to str or number
        The images concerned, each with its ``path`` and what is to be known of it.
    """

    check: str
    severity: str
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[Mapping[str, str | float]] = ()
