"""The finding of an audit check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SEVERITIES = ("leak", "warning", "note")
"""Severities, most severe first.

With a leak, scores are not valid. With a warning, scores may not be valid. A note is information.
"""


@dataclass(frozen=True)
class Finding:
    """Result of an audit check.

    Parameters
    ----------
    check : str
        Name of the check in `CHECKS`.
    severity : str
        One of `SEVERITIES`.
    sentence : str
        Description of the finding.
    numbers : mapping of str to float
        Numbers of the finding by name, such as ``"auc"``.
    rows : sequence of mapping of str to str or number
        The images that the finding is about, each with its ``path`` and further details.
    """

    check: str
    severity: str
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[Mapping[str, str | float]] = ()
