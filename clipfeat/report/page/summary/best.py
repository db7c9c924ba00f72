"""The best entry of a leaderboard, and the intervals of the entries as a chart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import METRICS
from clipfeat.zoo import CHANCE

MAX_ENTRIES = 6
"""Maximum number of entries in the chart."""
STEP = 0.05
"""The ends of the chart's scale are multiples of this number."""


@dataclass(frozen=True)
class Bar:
    """Value and interval of one entry or rate, with their positions on the scale of a chart.

    Parameters
    ----------
    name, value, interval : str
        Name, and the value and the interval as text.
    place : float
        Position of the value, in percent of the scale. NaN for an undefined value.
    start, width : float
        Start and width of the interval, in percent of the scale. NaN without an interval.
    marked : bool
        Whether the entry is emphasised.
    note : str
        Further text beside the name.
    """

    name: str
    value: str
    interval: str
    place: float
    start: float
    width: float
    marked: bool = False
    note: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether the interval is defined."""
        return not math.isnan(self.width)

    @property
    def has_value(self) -> bool:
        """Whether the value is defined."""
        return not math.isnan(self.place)


@dataclass(frozen=True)
class Scale:
    """Linear scale of a chart.

    Parameters
    ----------
    low, high : float
        Values at the ends.
    """

    low: float
    high: float

    def bar(
        self, name: str, value: float, ends: tuple[float, float], *, marked: bool = False,
        note: str = "",
    ) -> Bar:  # fmt: skip
        """Return the bar of a value and its interval on this scale."""
        low, high = ends
        no_interval = math.isnan(low) or math.isnan(high)
        return Bar(
            name,
            "–" if math.isnan(value) else f"{value:.3f}",
            "" if no_interval else f"{low:.3f} to {high:.3f}",
            self._place(value),
            self._place(low),
            self._place(high) - self._place(low),
            marked,
            note,
        )

    def _place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(100 * float(np.clip(share, 0, 1)), 2)


@dataclass(frozen=True)
class Best:
    """The best entry of a run.

    Parameters
    ----------
    entry, metric, over, value, interval : str
        Name of the entry, title of the metric, the items over which it is averaged (empty for a
        single value), and the score with its interval as text.
    notes : sequence of str
        Sentences on the interval, the choice and ties.
    bars : sequence of Bar
        The best entries, best first.
    ends : (str, str)
        Values at the ends of the scale, as text.
    n_more : int
        Number of entries that have no bar.
    """

    entry: str
    metric: str
    over: str
    value: str
    interval: str
    notes: Sequence[str]
    bars: Sequence[Bar]
    ends: tuple[str, str]
    n_more: int


def best_entry(board: Leaderboard) -> Best | None:
    """Describe the first entry of a leaderboard. None if there are no entries."""
    if not board.entries:
        return None
    metric, entry = board.metric, board.entries[0]
    shown = board.entries[:MAX_ENTRIES]
    ends = {one: _ends(board, one) for one in shown}
    values = {one: board.mean[one].get(metric, math.nan) for one in shown}
    scale = _scale(metric, [*values.values(), *(end for of in ends.values() for end in of)])
    bars = [
        scale.bar(one, values[one], ends[one], marked=one == entry, note=_rank(board, one))
        for one in shown
    ]
    return Best(
        entry,
        METRICS[metric].title.replace("acc.", "accuracy"),
        "" if math.isnan(board.spread[entry].get(metric, math.nan)) else board.averaged_over,
        bars[0].value,
        bars[0].interval,
        _notes(board),
        bars,
        (f"{scale.low:.2f}", f"{scale.high:.2f}"),
        len(board.entries) - len(shown),
    )


def _rank(board: Leaderboard, entry: str) -> str:
    return board.rank(entry) if board.standings else ""


def _ends(board: Leaderboard, entry: str) -> tuple[float, float]:
    standing = board.standings.get(entry)
    return (math.nan, math.nan) if standing is None else (standing.low, standing.high)


def _scale(metric: str, values: Sequence[float]) -> Scale:
    """Return a scale that includes all defined values."""
    known = [value for value in values if math.isfinite(value)]
    least, most = METRICS[metric].bounds
    low = max(math.floor(round(min(known, default=0.0) / STEP, 6)) * STEP, least)
    high = min(math.ceil(round(max(known, default=1.0) / STEP, 6)) * STEP, most)
    return Scale(low, high) if high > low else Scale(low - STEP, high + STEP)


def _notes(board: Leaderboard) -> list[str]:
    """Describe the coverage of the interval, the choice of the entry, and its ties."""
    entry, n = board.entries[0], len(board.standings)
    if entry not in board.standings:
        return []
    notes = []
    if not any(map(math.isnan, _ends(board, entry))):
        notes.append(
            f"The interval is corrected for the choice among {n} entries."
            if n > 1
            else "The interval is not corrected, because there is one entry."
        )
    if board.validation:
        notes.append("The entry was chosen on the validation images.")
    chance = next((one for one in board.entries if one.partition(" @ ")[0] == CHANCE), entry)
    value = board.mean[chance].get(board.metric, math.nan)
    if chance != entry and not math.isnan(value):
        notes.append(f"The chance baseline scores {value:.3f}.")
    tied = [one for one, standing in board.standings.items() if standing.tied and one != entry]
    if tied:
        names = ", ".join(tied[:4]) + (f" and {len(tied) - 4} more" if len(tied) > 4 else "")
        notes.append(f"No difference was found from {names}.")
    return notes
