"""Cards: HTML with a title, a small table, notes and the calls that are useful next.

Cards have no style sheet, because notebooks apply style sheets to the whole document. Text and
lines take the colours of the notebook, so a card is legible in light and in dark themes. All text
is escaped.
"""

from collections.abc import Sequence

from clipfeat.notebook.pictures import Picture
from clipfeat.system.escaping import html_text

Cell = str | Picture
MAX_LENGTH = 200
"""Maximum number of characters of a cell. Longer text is shortened in the middle."""
_LEFT = ' style="text-align:left"'


def card(
    title: str,
    subtitle: str = "",
    *,
    heads: Sequence[str] = (),
    rows: Sequence[Sequence[Cell]] = (),
    notes: Sequence[str] = (),
    next_calls: Sequence[str] = (),
) -> str:
    """Return the HTML of a card.

    Parameters
    ----------
    title, subtitle : str
        Name of the object, and its size or content.
    heads : sequence of str
        Headings of the table.
    rows : sequence of sequence of str or Picture
        Cells of the table.
    notes : sequence of str
        Sentences below the table.
    next_calls : sequence of str
        Python expressions that are useful next.

    Examples
    --------
    >>> card("FeatureSet", "2 images", rows=[["<b>", "1"]]).count("&lt;b&gt;")
    1
    """
    parts = [f'<p style="margin:.2em 0"><b>{html_text(title)}</b> {html_text(subtitle)}</p>']
    if rows:
        parts.append(_table(heads, rows))
    parts += [f'<p style="margin:.3em 0;opacity:.8">{html_text(note)}</p>' for note in notes]
    if next_calls:
        calls = ", ".join(f"<code>{html_text(call)}</code>" for call in next_calls)
        parts.append(f'<p style="margin:.3em 0">Next: {calls}</p>')
    return f'<div style="max-width:60em">{"".join(parts)}</div>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    head = "".join(f"<th{_LEFT}>{html_text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    above = f"<thead><tr>{head}</tr></thead>" if heads else ""
    return f'<table style="margin:.3em 0">{above}<tbody>{body}</tbody></table>'


def _cell(cell: Cell) -> str:
    content = cell.svg if isinstance(cell, Picture) else html_text(shortened(cell))
    return f"<td{_LEFT}>{content}</td>"


def counted(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "image"), counted(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"


def shortened(text: str) -> str:
    """Shorten a long text in the middle."""
    if len(text) <= MAX_LENGTH:
        return text
    return f"{text[: MAX_LENGTH // 2]}…{text[-MAX_LENGTH // 2 :]}"
