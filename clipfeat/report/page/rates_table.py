"""The section with the false positive rate of each source and the recall of each generator."""

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.report.page.section import Section, Table


def rates_section(board: Leaderboard) -> Section | None:
    """Tabulate the rates of the first entry; None if the leaderboard has no rates."""
    table = board.rates
    if table is None or not board.entries or board.entries[0] not in table.entries:
        return None
    entry = board.entries[0]
    return Section(
        "rates",
        f"Rates by {table.column}",
        table=Table(table.heads, table.rows(entry), f"{table.title(entry)}. {table.note}"),
    )
