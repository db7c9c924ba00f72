"""Reading of CSV and TSV files as text.

The separator is a comma, a semicolon, a tab or a vertical bar. The encoding is UTF-8, or UTF-16
with a byte order mark.
"""

import codecs
import csv
import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipfeat.errors import RefusedFileError
from clipfeat.features.decisions import (
    decisions_of,
    is_table_of_decisions,
    majority_label,
    several_images,
    standing_labels,
)

if TYPE_CHECKING:
    import pandas as pd

DECISIONS = "decisions"
"""Key of `DataFrame.attrs` for a table of decisions."""
MAX_TABLE_COLUMNS = 10_000
"""Maximum number of columns of a CSV or TSV file."""
MAX_SEPARATORS = 2 * MAX_TABLE_COLUMNS
"""Maximum number of separators in a line of a CSV or TSV file. Quoted texts may contain some."""
MAX_FIELDS = 2**21
"""Maximum number of fields of a table of decisions. Each decision has six."""
MAX_CELLS = 2**25
"""Maximum number of cells of any table. Each takes 8 bytes or more, also if it is empty."""
SEPARATORS = ",;\t|"
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def text_rows(content: bytes, spec: str, most: int = MAX_FIELDS) -> list[list[str]]:
    """Read the rows of a CSV or TSV file that may have no header.

    Parameters
    ----------
    content : bytes
        The bytes of the file.
    spec : str
        Its name, for messages and for the separator.
    most : int, optional
        Maximum number of fields.

    Returns
    -------
    list of list of str
        The fields of each row, as they are written. Blank rows are left out.

    Raises
    ------
    RefusedFileError
        If the file cannot be read as a table.

    Examples
    --------
    >>> text_rows(b"a.png;0.1", "scores.csv"), text_rows(b"", "empty.csv")
    ([['a.png', '0.1']], [])
    """
    try:
        text, separator = _decoded(content, spec)
        _check_number(text.count("\n") + text.count(separator), most, spec)
        return [row for row in csv.reader(io.StringIO(text), delimiter=separator) if row]
    except RefusedFileError:
        raise
    except (ValueError, csv.Error) as error:
        raise not_a_table(spec, error) from error


def text_table(content: bytes, spec: str) -> "pd.DataFrame":
    """Read the bytes of a CSV or TSV file with a header as text.

    Numbers stay as they are written, such as the labels ``0`` and ``1``. Missing values become
    empty text. The columns are named as in `as_text`. A table of decisions (see
    `clipfeat.features.decisions`) becomes a table with one row for each image and the columns
    ``path`` and ``label``. `has_decisions` recognizes such a table.

    Parameters
    ----------
    content : bytes
        The bytes of the file.
    spec : str
        Its name, for messages and for the separator.

    Raises
    ------
    RefusedFileError
        If the file cannot be read as a table. If two columns have the same name. If decisions are
        about different images with one path.
    """
    import pandas as pd

    try:
        table = _read_csv(content, spec)
    except pd.errors.ParserWarning as error:
        raise RefusedFileError(
            f"{spec} has a row with more fields than its header. Correct that row"
        ) from error
    except RefusedFileError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise not_a_table(spec, error) from error
    table = as_text(table, spec)
    if is_table_of_decisions(table.columns):
        records: Any = table.to_dict("records")
        decisions = decisions_of(records)
        if path := several_images(decisions):
            raise RefusedFileError(
                f"{spec} has decisions about different images with the path {path!r}, as their "
                "content hashes (key) show. Keep the rows of one of these images"
            )
        labels = standing_labels(decisions)
        rows = [(path, majority_label([*given.values()])) for path, given in labels.items()]
        table = pd.DataFrame(rows, columns=["path", "label"], dtype=object)
        table.attrs[DECISIONS] = True
    return table


def has_decisions(table: "pd.DataFrame") -> bool:
    """Return whether `text_table` made this table from a table of decisions."""
    return bool(table.attrs.get(DECISIONS))


def as_text(table: "pd.DataFrame", spec: str) -> "pd.DataFrame":
    """Convert the values of a table to text.

    Spaces around column names are removed. A column without a name is named after its position,
    such as ``Unnamed: 0``.

    Raises
    ------
    RefusedFileError
        If two columns have the same name.
    """
    import pandas as pd

    names = [str(name).strip().strip("\ufeff") for name in table.columns]
    table.columns = pd.Index([name or f"Unnamed: {i}" for i, name in enumerate(names)])
    if doubled := table.columns[table.columns.duplicated()].tolist():
        raise RefusedFileError(f"{spec} has two columns named {doubled[0]!r}. Rename one of them")
    text = pd.Series([], dtype=str).dtype
    if isinstance(text, pd.StringDtype) and all(dtype == text for dtype in table.dtypes):
        return table.fillna("")
    return table.astype(object).where(table.notna(), "").astype(str)


def not_a_table(spec: str, error: Exception) -> RefusedFileError:
    """Return the error for a file that cannot be read as a text table."""
    return RefusedFileError(
        f"{spec} cannot be read as a table: {error}. Pass a CSV or TSV file in UTF-8 or UTF-16"
    )


def _decoded(content: bytes, spec: str) -> tuple[str, str]:
    """Return the text and its separator: the one that occurs most often in the header."""
    text = content.decode(_ENCODINGS.get(content[:2], "utf-8-sig"))
    # Old programs end lines with a carriage return. Within quotes, it is part of a field.
    # The quantifiers are possessive, because the states of backtracking would fill the memory.
    if "\r" in text:
        text = re.sub(r'("(?:[^"]++|"")*+")|\r\n?', lambda match: match[1] or "\n", text)
    first = re.search(r"[^\r\n][^\n]*+", text)
    header = first[0].splitlines()[0] if first else ""
    unquoted = re.sub(r'"[^"]*"', "", header)
    usual = "\t" if Path(spec).suffix.lower() == ".tsv" else ","
    return text, max(usual + SEPARATORS, key=unquoted.count)


def _check_number(n_fields: int, most: int, spec: str) -> None:
    """Refuse tables of many short rows, which take 50 times the memory of the file."""
    if n_fields > most:
        raise RefusedFileError(
            f"{spec} has {n_fields} fields in its rows, but at most {most} are allowed. Remove "
            "rows or columns from the table"
        )


def _read_csv(content: bytes, spec: str) -> "pd.DataFrame":
    import pandas as pd

    text, separator = _decoded(content, spec)
    pattern = re.compile(r"[^\n]*+\n|[^\n]++")
    lines = (match[0] for match in pattern.finditer(text))
    names = next((row for row in csv.reader(lines, delimiter=separator) if row), [])
    if len(names) > MAX_TABLE_COLUMNS:  # pandas would need minutes
        raise RefusedFileError(
            f"{spec} has {len(names)} columns, but at most {MAX_TABLE_COLUMNS} are allowed. Remove "
            "columns from the table"
        )
    n_cells = len(names) * text.count("\n")
    _check_number(n_cells, MAX_FIELDS if is_table_of_decisions(names) else MAX_CELLS, spec)
    longest = max((match[0].count(separator) for match in pattern.finditer(text)), default=0)
    if longest > MAX_SEPARATORS:  # pandas would need a minute and a kilobyte for each field
        raise RefusedFileError(
            f"{spec} has a line with {longest} separators ({separator!r}), but at most "
            f"{MAX_SEPARATORS} are allowed. Correct that line"
        )
    data = io.BytesIO(text.encode())  # a StringIO would take four bytes for each character
    del text
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        table = pd.read_csv(
            data, sep=separator, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8"
        )
    # pandas renames the second of two equal names.
    if len(names) == len(table.columns):
        table.columns = pd.Index(names)
    return table
