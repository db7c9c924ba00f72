"""HTML of a benchmark for notebooks."""

from typing import TYPE_CHECKING

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.leaderboard_html import interval_pictures
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.validation import on_validation
from clipfeat.features.classes import positive_class
from clipfeat.notebook import Cell, card

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark

MAX_ENTRIES = 8


def benchmark_html(run: "Benchmark") -> str:
    """Return an HTML card with the best entries and the failures.

    The card has no intervals, because their bootstrap takes seconds for large runs. The leaderboard
    has them.
    """
    board = Leaderboard.from_rows(run.rows, validation=on_validation(run) or None)
    pictures, scale = interval_pictures(board)
    shown = board.entries[:MAX_ENTRIES]
    rows: list[list[Cell]] = [
        [entry, board.cell(entry, board.metric), pictures[entry]] for entry in shown
    ]
    notes = [board.spread_note] if board.spread_note else []
    if len(board.entries) > len(shown):
        notes.insert(0, f"{len(board.entries) - len(shown)} more entries.")
    notes += [f"{entry} failed: {reason}" for entry, reason in run.errors.items()]
    positive = positive_class(run.classes)
    return card(
        "Benchmark",
        f"{run.about.get('protocol', '')} on {run.about.get('images', len(run.y)):,} images, "
        f"classes {', '.join(run.classes)}{(positive and f', positive class {positive}') or ''}",
        heads=["classifier", METRICS[board.metric].title, scale],
        rows=rows,
        notes=notes,
        next_calls=["run.leaderboard()", 'run.plot("confusion")', 'run.save("run/")'],
    )
