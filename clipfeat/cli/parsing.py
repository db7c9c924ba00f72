"""Parsers for options that take several values."""

import ast
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.errors import UsageError

if TYPE_CHECKING:
    from clipfeat.evaluate.external_scores import Scores

_UNITS = {"s": 1, "m": 60, "h": 3600}
"""Seconds of each unit of a duration."""


def parse_numbers(text: str, option: str = "--vote-weights") -> list[float] | None:
    """Parse the comma-separated numbers of an option. An empty text gives None.

    Raises
    ------
    UsageError
        If a part is not a finite number.

    Examples
    --------
    >>> parse_numbers("2, 1,0.5"), parse_numbers("")
    ([2.0, 1.0, 0.5], None)
    """
    if not text.strip():
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"{option} must be comma-separated numbers, got {text!r}. Write them like 2,1,1."
        ) from error
    if not all(map(math.isfinite, values)):
        raise UsageError(f"{option} must be finite numbers, got {text!r}. Write them like 2,1,1.")
    return values


def parse_counts(text: str, option: str = "--few-shot") -> list[int]:
    """Parse the comma-separated whole numbers of an option. An empty text gives an empty list.

    Raises
    ------
    UsageError
        If a part is not a whole number.

    Examples
    --------
    >>> parse_counts("10,100"), parse_counts("")
    ([10, 100], [])
    """
    numbers = parse_numbers(text, option) or []
    if any(number != int(number) for number in numbers):
        raise UsageError(f"{option} must be whole numbers, got {text!r}. Write them like 10,100.")
    return [int(number) for number in numbers]


def parse_seconds(text: str, option: str = "--time-limit") -> float:
    """Parse a duration: a number of seconds, or a number with the unit s, m or h.

    Raises
    ------
    UsageError
        If the text is not a positive, finite duration.

    Examples
    --------
    >>> parse_seconds("90"), parse_seconds("10m"), parse_seconds("1.5 h")
    (90.0, 600.0, 5400.0)
    """
    number, unit = text.strip(), "s"
    if number[-1:] in _UNITS:
        number, unit = number[:-1], number[-1]
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(
            f"{option} must be a duration above 0, got {text!r}. Write it like 90s, 10m or 2h."
        )
    return seconds


def parse_entries(clf: str, scores: Sequence[str]) -> "str | list[str | Scores]":
    """Combine names of classifiers with files of scores, each as ``FILE`` or ``NAME=FILE``."""
    if not scores:
        return clf
    from clipfeat.evaluate.external_scores import Scores

    entries: list[str | Scores] = [name.strip() for name in clf.split(",") if name.strip()]
    for text in scores:
        name, equals, file = text.partition("=")
        whole = not equals or Path(text).exists()
        entries.append(Scores.read(text) if whole else Scores.read(file, name))
    return entries


def parse_arguments(texts: Sequence[str]) -> dict[str, object] | None:
    """Parse the ``NAME=VALUE`` texts of an option. A value that is no Python literal is a string.

    Raises
    ------
    UsageError
        If a text has no name or no equals sign.

    Examples
    --------
    >>> parse_arguments(["pad_type=same", "mean=0.5"])
    {'pad_type': 'same', 'mean': 0.5}
    """
    arguments: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(
                f"--encoder-arg must be NAME=VALUE, got {text!r}. Write it like crop_pct=1.0."
            )
        try:
            arguments[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[name] = value
    return arguments or None


def split_paths(
    source: Sequence[str], out: Path | None, *, dry_run: bool
) -> tuple[list[str], Path | None]:
    """Split the paths of ``clipfeat embed`` into the sources and the feature file.

    The last path is the feature file. In a dry run, it is a source unless it has the suffix of a
    feature file, and there is no feature file.

    Raises
    ------
    UsageError
        If a path is missing.

    Examples
    --------
    >>> split_paths(["a"], Path("b"), dry_run=True), split_paths(["a"], Path("b.h5"), dry_run=True)
    ((['a', 'b'], None), (['a'], None))
    """
    sources = list(source)
    if dry_run and out is not None and out.suffix.lower() not in {".h5", ".hdf5"}:
        sources.append(str(out))
    if not sources or (out is None and not dry_run):
        missing = "SOURCE" if dry_run or out is None else "OUT.h5"
        raise UsageError(
            f"Missing argument {missing!r}. Pass the images, then the feature file, as in: "
            "clipfeat embed images/ out.h5"
        )
    return sources, None if dry_run else out
