"""Tests of plots as files and inside a page."""

import re

import pytest
from matplotlib.figure import Figure

from clipfeat.report.plots.plot import Plot, inline
from clipfeat.report.plots.shown_figure import ShownFigure
from clipfeat.report.plots.style import (
    INK,
    PAPER,
    add_legend,
    label_text,
    line_style,
    new_figure,
    plot_style,
)


def make_plot(label: str = "svm") -> Plot:
    """Draw a line and a hatched bar."""
    figure, ax = new_figure(3, 3, label)
    handles = ax.plot([0, 1], [0, 1], **line_style(0))
    ax.bar([0], [1], hatch="///")
    add_legend(figure, [label], handles)
    return Plot("a", figure, "", "")


def test_an_inline_plot_follows_the_page_colours() -> None:
    """An inline SVG has no prologue, no metadata, and prefixed identifiers."""
    with plot_style():
        svg = make_plot().svg()
    element = inline(svg, "first")
    assert element.startswith('<svg aria-hidden="true"')
    assert "<metadata" not in element and "DOCTYPE" not in element
    assert INK not in element and PAPER not in element and "currentColor" in element
    assert all(name.startswith("first-") for name in re.findall(r'\bid="([^"]*)', element))
    identifiers = set(re.findall(r'\bid="([^"]*)', element))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', element)) <= identifiers


def test_the_same_plot_gives_the_same_files() -> None:
    """SVG files contain no date and no random identifiers."""
    with plot_style():
        first, second = make_plot(), make_plot()
        assert first.svg() == second.svg()
        assert first.png().startswith(b"\x89PNG")


def test_the_layout_needs_no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files equal those of a figure that matplotlib draws once more for the layout."""
    with plot_style():
        svg, png = make_plot().svg_and_png()
        calls = []
        monkeypatch.setattr(
            ShownFigure, "draw", lambda *given: calls.append(1) or Figure.draw(*given)
        )
        assert make_plot().svg_and_png() == (svg, png)
    assert len(calls) == 3
    assert svg.count("<path") > 5


def test_any_name_is_drawn_without_a_warning() -> None:
    """Formulas, markup, leading underscores and control characters are drawn."""
    for name in ("$a_b$", "<script>&", "_hidden", "日本", "a\nb\x00", "\udc80", "x" * 200):
        with plot_style():
            plot = make_plot(label_text(name))
            assert "<script>" not in plot.svg()
            plot.svg().encode()
            plot.png()
