"""A picture as a file and in a page."""

import re

from clipfeat.report.plots.plot import Plot, inline
from clipfeat.report.plots.style import INK, PAPER, blank, drawing, legend, line_style, named


def picture(label: str = "svm") -> Plot:
    figure, ax = blank(3, 3, label)
    handles = ax.plot([0, 1], [0, 1], **line_style(0))
    ax.bar([0], [1], hatch="///")
    legend(figure, [label], handles)
    return Plot("a", figure, "", "")


def test_an_inline_picture_is_one_element_in_the_page_s_ink() -> None:
    """No prologue, no metadata, identifiers of its own and colours that follow the page."""
    with drawing():
        svg = picture().svg()
    element = inline(svg, "first")
    assert element.startswith('<svg aria-hidden="true"')
    assert "<metadata" not in element and "DOCTYPE" not in element
    assert INK not in element and PAPER not in element and "currentColor" in element
    assert all(name.startswith("first-") for name in re.findall(r'\bid="([^"]*)', element))
    named_here = set(re.findall(r'\bid="([^"]*)', element))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', element)) <= named_here


def test_the_same_picture_is_the_same_text() -> None:
    """No date and no chance in it; a PNG too."""
    with drawing():
        first, second = picture(), picture()
        assert first.svg() == second.svg()
        assert first.png().startswith(b"\x89PNG")


def test_any_name_can_be_drawn() -> None:
    """Formulas, markup, hidden labels, foreign letters and control characters, without a word."""
    for name in ("$a_b$", "<script>&", "_hidden", "日本", "a\nb\x00", "\udc80", "x" * 200):
        with drawing():
            plot = picture(named(name))
            assert "<script>" not in plot.svg()
            plot.svg().encode()
            plot.png()
