"""Tables in Markdown."""

from collections.abc import Sequence

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.pivots import Pivot
from clipfeat.evaluate.rates import RateTable
from clipfeat.system.escaping import markdown_text


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Format a Markdown table whose first column is text and whose other columns are numbers.

    Examples
    --------
    >>> print(markdown_table(["class", "n"], [["a|b", "3"]]), end="")
    | class | n |
    | --- | ---: |
    | a\|b | 3 |
    """
    rule = ["---", *("---:" for _ in head[1:])]
    lines = [list(map(markdown_text, head)), rule, *(list(map(markdown_text, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def leaderboard_markdown(board: Leaderboard) -> str:
    """Format a leaderboard as a Markdown table."""
    columns = board.columns
    rows = [[entry, *(board.cell(entry, name) for name in columns)] for entry in board.entries]
    return markdown_table(["classifier", *columns.values()], rows)


def pivot_markdown(pivot: Pivot) -> str:
    """Format a pivot as a title and a Markdown table."""
    rows = [[down, *(pivot.text(down, across) for across in pivot.across)] for down in pivot.down]
    return f"{markdown_text(pivot.title)}\n\n{markdown_table([pivot.corner, *pivot.across], rows)}"


def rates_markdown(table: RateTable, entry: str) -> str:
    """Format the rates of an entry as a title, a Markdown table and a note."""
    title, note = markdown_text(table.title(entry)), markdown_text(table.note)
    return f"{title}\n\n{markdown_table(table.heads, table.rows(entry))}\n{note}\n"
