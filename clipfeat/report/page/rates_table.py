"""The sections with the false positive rate of each source and the recall of each generator."""

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.rates import RateTable
from clipfeat.report.page.section import Section, Table
from clipfeat.report.robustness_rates import strongest_rates


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


def degraded_rates_section(rates: RateTable) -> Section:
    """Tabulate the rates on the original images, and on the most degraded images of each kind."""
    original = next(iter(rates.entries))
    caption = (
        f"{rates.title(original)}, and the same images at the strongest degradation of each kind. "
        f"Each rate is followed by its 95 % interval. {rates.note}"
    )
    return Section(
        "robustness-rates",
        f"Robustness: rates by {rates.column}",
        table=Table(*strongest_rates(rates, intervals=True), caption),
    )
