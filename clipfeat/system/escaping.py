"""Escaping of names, labels and messages that come from files, with one function for each target.

HTML is escaped by Jinja or `html_text`, and LaTeX by `clipfeat.report.latex.latex_text`.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from html import escape
from typing import TYPE_CHECKING

from clipfeat.errors import RefusedFileError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from rich.text import Text

MAX_TEXT = 2**16
"""Maximum size of a path, label, group or other value in a feature file, in bytes of UTF-8."""
MAX_IMAGE_TEXT = 2**12
"""Maximum size of a path, label or group that is written, in bytes of UTF-8. Linux has the same
limit for paths. In an array of text, each value takes four times the memory of the longest one."""
MAX_COLUMN_TEXT = 2**12
"""Maximum size of a value in an additional column, in bytes of UTF-8. Longer values are shortened,
because each value of a column takes as much memory as the longest value."""
MAX_COLUMN_NAME = 1000
"""Maximum size of the name of a column, in bytes of UTF-8."""
MAX_COLUMNS = 1000
"""Maximum number of columns in a feature file, besides labels and groups."""
MAX_LINE = 10_000
"""Maximum number of characters of a printed line. A path of 4,096 bytes and two labels fit."""
MAX_MESSAGE = 2000
"""Maximum number of characters of a printed error or warning."""
MAX_CELL = 200
"""Maximum number of characters of a cell of a printed table, and of the title of an encoder."""

# C0 and C1 control characters, line separators, marks that change the direction of text, and lone
# surrogates, which UTF-8 cannot encode.
_UNPRINTABLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)
_MARKDOWN = re.compile(r"([\\`*~\[\]<>|&$]|(?<![^\W_])_|_(?![^\W_]))")
"""An underscore between letters or digits, as in ``roc_auc``, has no meaning in Markdown."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def escape_unstorable(text: str) -> str:
    r"""Escape the characters that a feature file cannot store.

    These are lone surrogates, which JSON may contain, and the character 0, which ends a text in
    HDF5.

    Examples
    --------
    >>> print(escape_unstorable("a\ud800\0"))
    a\ud800\x00
    """
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def storable(text: str) -> str:
    """Escape a text with `escape_unstorable`, and check its size.

    Raises
    ------
    RefusedFileError
        If the escaped text has more than `MAX_IMAGE_TEXT` bytes.
    """
    most = MAX_IMAGE_TEXT
    escaped = escape_unstorable(text)
    if len(escaped) > most // 4 and len(escaped.encode()) > most:
        raise RefusedFileError(
            f"the text {text[:40]!r}… has more than {most} bytes, so a feature file cannot store "
            "this text. Shorten the text in the source"
        )
    return escaped


def storable_columns(
    columns: Iterable[tuple[str, str]], shortened: Counter[str]
) -> tuple[tuple[str, str], ...]:
    """Escape the additional columns of an image, and shorten long values.

    Parameters
    ----------
    columns : iterable of (name, value)
        The columns.
    shortened : Counter
        Counts the shortened values by the column's name.

    Raises
    ------
    RefusedFileError
        If a name has more than `MAX_COLUMN_NAME` bytes.
    """
    result = []
    for name, value in columns:
        if len(name.encode("utf-8", "backslashreplace")) > MAX_COLUMN_NAME:
            raise RefusedFileError(
                f"the column {name[:40]!r}… has a name of more than {MAX_COLUMN_NAME} bytes. Give "
                "the column a shorter name in the source"
            )
        text = escape_unstorable(value)
        if len(text) > MAX_COLUMN_TEXT // 4 and len(data := text.encode()) > MAX_COLUMN_TEXT:
            shortened[name] += 1
            end = "…"
            kept = data[: MAX_COLUMN_TEXT - len(end.encode())]
            text = kept.decode("utf-8", "ignore") + end
        result.append((storable(name), text))
    return tuple(result)


def terminal_text(text: str) -> str:
    r"""Escape control characters, so that a text cannot control the terminal.

    Examples
    --------
    >>> print(terminal_text("a\x1b[2Jb\n"))
    a\x1b[2Jb\n
    """
    return _UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], text)


def without_middle(text: str, most: int) -> str:
    """Replace the middle of a long text by an ellipsis. The remedy of an error is at its end.

    Examples
    --------
    >>> without_middle("0123456789", 10), without_middle("0123456789abcdef", 10)
    ('0123456789', '012345…def')
    """
    if len(text) <= most:
        return text
    n_end = most // 3
    return f"{text[: most - n_end - 1]}…{text[-n_end:]}"


def rich_text(text: str) -> "Text":
    """Return a text for Rich, shortened to `MAX_CELL`, without markup and control characters.

    `rich.markup.escape` is not used, because it doubles a backslash at the end.

    Examples
    --------
    >>> rich_text("[/x] is a label").plain
    '[/x] is a label'
    """
    from rich.text import Text

    return Text(without_middle(terminal_text(text), MAX_CELL))


def markdown_text(text: str) -> str:
    r"""Escape characters that have a meaning in Markdown or HTML, and control characters.

    Examples
    --------
    >>> print(markdown_text("a|b <img> [x](y)"))
    a\|b \<img\> \[x\](y)
    >>> print(markdown_text("_a_b_ ~~c~~"))
    \_a_b\_ \~\~c\~\~
    """
    return _MARKDOWN.sub(r"\\\1", terminal_text(text))


def html_text(text: str) -> str:
    r"""Escape characters that have a meaning in HTML, and control characters.

    Examples
    --------
    >>> print(html_text("<b>\x1b"))
    &lt;b&gt;\x1b
    """
    return escape(terminal_text(text))


def spreadsheet_text(text: str) -> str:
    r"""Put an apostrophe before text that a spreadsheet would run as a formula.

    If there are already apostrophes before the formula, one more is added. Removing one apostrophe
    therefore restores the original text in every case.

    Examples
    --------
    >>> spreadsheet_text("=1+2"), spreadsheet_text("a=b"), spreadsheet_text("-0.5")
    ("'=1+2", 'a=b', "'-0.5")
    """
    return "'" + text if text.lstrip("' ").startswith(_FORMULA) else text


def original_text(text: str) -> str:
    r"""Undo `spreadsheet_text`: remove the apostrophe that it added.

    Examples
    --------
    >>> original_text("'=1+2"), original_text("'quoted'")
    ('=1+2', "'quoted'")
    """
    is_escaped = text.startswith("'") and text.lstrip("' ").startswith(_FORMULA)
    return text[1:] if is_escaped else text


def spreadsheet_csv(table: "pd.DataFrame") -> str:
    """Convert a table to CSV that is safe to print and to open in a spreadsheet.

    Cells with text and the names of columns are escaped with `terminal_text` and
    `spreadsheet_text`. Each row is therefore one line.
    """
    safe = table.copy()
    for position, kind in enumerate(table.dtypes):
        if kind.kind not in "biufc":
            values = [
                spreadsheet_text(terminal_text(value)) if isinstance(value, str) else value
                for value in table.iloc[:, position]
            ]
            safe.isetitem(position, values)
    safe.columns = [spreadsheet_text(terminal_text(str(name))) for name in table.columns]
    text: str = safe.to_csv(index=False)
    return text


def read_spreadsheet_csv(
    file: "Path", numbers: Collection[str], needed: Collection[str]
) -> "pd.DataFrame":
    """Read a table that `spreadsheet_csv` wrote. Control characters stay escaped.

    Parameters
    ----------
    file : path
        The file.
    numbers : collection of str
        Names of the numeric columns. An empty cell of these columns is NaN. All other columns are
        text.
    needed : collection of str
        Names of columns that the file must have.

    Raises
    ------
    RefusedFileError
        If the file is not such a table.
    """
    import pandas as pd

    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
        table.columns = [original_text(str(name)) for name in table.columns]
        if missing := [name for name in needed if name not in table.columns]:
            raise ValueError(f"the column {missing[0]!r} is missing")
        for name in table.columns:
            if name in numbers:
                table[name] = pd.to_numeric(table[name])
            else:
                table[name] = [original_text(text) for text in table[name]]
    except (OSError, ValueError) as error:  # pandas raises subclasses of ValueError
        raise RefusedFileError(
            f"{file} is damaged ({error}). Write it again with the same command"
        ) from error
    return table
