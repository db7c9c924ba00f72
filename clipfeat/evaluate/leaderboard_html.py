"""HTML of a leaderboard for notebooks."""

import math
from typing import TYPE_CHECKING

from clipfeat.notebook import Picture, interval
from clipfeat.system.escaping import html_text

if TYPE_CHECKING:
    from clipfeat.evaluate.leaderboard import Leaderboard

_STYLE = ' style="text-align:left;vertical-align:top"'
_NOWRAP = ' style="text-align:left;vertical-align:top;white-space:nowrap"'


def leaderboard_html(board: "Leaderboard") -> str:
    """Return an HTML table with the best values in bold, and a picture of the intervals.

    Columns without a value are left out. A wide table scrolls in its own box.
    """
    from clipfeat.evaluate.leaderboard import INTERVAL
    from clipfeat.evaluate.metrics import METRICS

    columns = {
        name: title
        for name, title in board.columns.items()
        if any(board.cell(entry, name) != "–" for entry in board.entries)
    }
    best = {name: board.best(name) for name in columns if name in METRICS}
    pictures, scale = interval_pictures(board)
    heads = ["classifier", *columns.values()]
    if INTERVAL in columns:
        heads.insert(list(columns).index(INTERVAL) + 2, scale)
    body = ""
    for entry in board.entries:
        body += f"<tr><th{_STYLE}>{html_text(entry)}</th>"
        for name in columns:
            number, plus_minus, spread = board.cell(entry, name).partition(" ± ")
            text = html_text(number)
            is_best = board.mean[entry].get(name, math.nan) == best.get(name)
            below = f"<br><small>± {html_text(spread)}</small>" if plus_minus else ""
            body += f"<td{_NOWRAP}>{f'<b>{text}</b>' if is_best else text}{below}</td>"
            if name == INTERVAL:
                body += f"<td{_NOWRAP}>{pictures[entry].svg}</td>"
        body += "</tr>"
    texts = [f"The positive class is {board.positive}."] if board.positive else []
    head = "".join(f"<th{_STYLE}>{html_text(title)}</th>" for title in heads)
    return (
        f'<div style="overflow-x:auto"><table style="margin:.3em 0"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        '<p style="margin:.3em 0;opacity:.8;max-width:60em">'
        f"{html_text(' '.join([*texts, *board.notes]))}</p>"
        '<p style="margin:.3em 0">Next: <code>run.save(&quot;run/&quot;)</code>, which writes the '
        "report</p>"
    )


def interval_pictures(board: "Leaderboard") -> tuple[dict[str, Picture], str]:
    """Draw the score of each entry with its interval, on one scale.

    Returns
    -------
    pictures : dict of str to Picture
        The picture of each entry.
    scale : str
        The ends of the scale, such as ``"0.50 to 0.92"``.
    """
    scores = {entry: board.mean[entry].get(board.metric, math.nan) for entry in board.entries}
    ends = {entry: (one.low, one.high) for entry, one in board.standings.items()}
    known = [value for value in scores.values() if not math.isnan(value)]
    known += [end for of in ends.values() for end in of if not math.isnan(end)]
    scale = min(known, default=0.0), max(known, default=1.0)
    unknown = math.nan, math.nan
    pictures = {
        entry: interval(score, *ends.get(entry, unknown), scale) for entry, score in scores.items()
    }
    return pictures, f"{scale[0]:.2f} to {scale[1]:.2f}"
