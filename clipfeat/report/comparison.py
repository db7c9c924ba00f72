"""The comparison of runs as Markdown, CSV or LaTeX."""

from collections.abc import Callable

from clipfeat.errors import unknown_name
from clipfeat.evaluate import Comparison
from clipfeat.report.latex import latex_comments, latex_table
from clipfeat.report.markdown import markdown_table
from clipfeat.system.escaping import markdown_text, spreadsheet_csv


def format_comparison(comparison: Comparison, name: str) -> str:
    """Format a comparison, with the options that differ between the runs.

    Parameters
    ----------
    comparison : Comparison
        Result of `clipfeat.compare`.
    name : {"md", "csv", "latex"}
        Format. A CSV has the unrounded values only.

    Raises
    ------
    UnknownNameError
        If the format is unknown.
    """
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    return FORMATS[name](comparison)


def difference_rows(comparison: Comparison) -> list[list[str]]:
    """Return the heading and the rows of the table of options that differ."""
    options = [[name, *values] for name, values in comparison.differences.items()]
    return [["option", *comparison.runs], *options]


def _markdown(comparison: Comparison) -> str:
    table = markdown_table(comparison.heads, comparison.rows)
    text = f"{markdown_text(comparison.title)}\n\n{table}"
    text += "".join(f"\n{markdown_text(note)}\n" for note in comparison.notes)
    head, *rows = difference_rows(comparison)
    return f"{text}\nOptions that differ\n\n{markdown_table(head, rows)}" if rows else text


def _latex(comparison: Comparison) -> str:
    text = latex_table(comparison.title, comparison.heads, comparison.rows)
    text += latex_comments(comparison.notes)
    head, *rows = difference_rows(comparison)
    return f"{text}\n{latex_table('Options that differ', head, rows)}" if rows else text


def _csv(comparison: Comparison) -> str:
    return spreadsheet_csv(comparison.to_pandas())


FORMATS: dict[str, Callable[[Comparison], str]] = {"md": _markdown, "csv": _csv, "latex": _latex}
"""Formats by name."""
SUFFIXES = {".md": "md", ".tex": "latex"}
"""Formats by the suffix of a file. Other files are CSV."""
