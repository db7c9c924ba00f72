"""Tests of notebook cards and their plots."""

import math
import re

from clipfeat.notebook import bar, card, histogram, interval
from clipfeat.notebook.card import MAX_LENGTH

EVIL = "<img src=x onerror=alert(1)>\u202e"


def test_all_text_is_escaped() -> None:
    """Markup and direction marks become text everywhere. Plots are not escaped."""
    html = card(EVIL, EVIL, heads=[EVIL], rows=[[EVIL, bar(0.5)]], notes=[EVIL], next_calls=[EVIL])
    assert "<img" not in html and "\u202e" not in html
    assert html.count("&lt;img") == 6
    assert html.count("<svg") == 1


def test_long_text_is_shortened() -> None:
    """A long cell is shortened in the middle."""
    (cell,) = re.findall("<td[^>]*>(.*?)</td>", card("t", rows=[["a" * 500 + "b" * 500]]))
    assert len(cell) == MAX_LENGTH + 1
    assert cell.strip("ab") == "…"


def test_cards_have_no_style_of_their_own_for_colours() -> None:
    """Text and lines use the text colour of the notebook."""
    picture = interval(0.5, 0.4, 0.6, (0.0, 1.0)).svg
    html = card("t", "s", heads=["h"], rows=[["c", bar(1.0)]], notes=["n"], next_calls=["x"])
    assert not re.search(r"[^-]color:|background|<style", html)
    assert "currentColor" in picture


def test_pictures_are_drawn_to_scale() -> None:
    """Bars and intervals stay within the plot, and undefined values are left out."""
    assert [re.findall('width="([0-9.]+)" height="12" rx', bar(share).svg) for share in
            (0.0, 0.25, 2.0, math.nan)] == [["0.0"], ["35.0"], ["140.0"], ["0.0"]]  # fmt: skip
    assert 'cx="70.0"' in interval(0.5, 0.4, 0.6, (0.0, 1.0)).svg
    assert 'cx="5.0"' in interval(3.0, 3.0, 3.0, (3.0, 3.0)).svg
    assert "<circle" not in interval(math.nan, 0.4, 0.6, (0.0, 1.0)).svg
    assert 'opacity=".45"' not in interval(0.5, math.nan, math.nan, (0.0, 1.0)).svg
    assert re.findall(' height="([0-9.]+)" fill', histogram([0, 1, 4], 40).svg) == [
        "0.0", "10.0", "40.0",
    ]  # fmt: skip
    assert "nan" not in histogram([]).svg + histogram([0, 0]).svg
