"""Tables in Markdown."""

from collections.abc import Sequence

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.pivots import Pivot
from clipfeat.evaluate.rates import RateTable


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
    lines = [[cell.replace("|", "\\|") for cell in row] for row in [head, rule, *rows]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def leaderboard_markdown(board: Leaderboard) -> str:
    """Format a leaderboard as a Markdown table."""
    columns = board.columns
    rows = [[entry, *(board.cell(entry, name) for name in columns)] for entry in board.entries]
    return markdown_table(["classifier", *columns.values()], rows)


def pivot_markdown(pivot: Pivot) -> str:
    """Format a pivot as a title and a Markdown table."""
    rows = [[down, *(pivot.text(down, across) for across in pivot.across)] for down in pivot.down]
    return f"{pivot.title}\n\n{markdown_table([pivot.corner, *pivot.across], rows)}"


def rates_markdown(table: RateTable, entry: str) -> str:
    """Format the rates of an entry as a title, a Markdown table and a note."""
    return (
        f"{table.title(entry)}\n\n{markdown_table(table.heads, table.rows(entry))}\n{table.note}\n"
    )
