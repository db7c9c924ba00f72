"""Small pictures in table cells. Their colours have contrast on light and on dark notebooks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 140, 12
HUE = "#2f86c6"
"""Colour with a contrast of 3 or more against white and the dark themes of Jupyter and VS Code."""


@dataclass(frozen=True)
class Picture:
    """SVG picture, which is not escaped.

    Parameters
    ----------
    svg : str
        Trusted markup.
    """

    svg: str


def bar(share: float) -> Picture:
    """Draw a bar for a share in [0, 1]. The bar is empty if the share is NaN.

    Examples
    --------
    >>> 'width="70.0"' in bar(0.5).svg
    True
    """
    width = 0.0 if math.isnan(share) else WIDTH * min(max(share, 0.0), 1.0)
    return _picture(f'<rect width="{width:.1f}" height="{HEIGHT}" rx="2" fill="{HUE}"/>')


def interval(value: float, low: float, high: float, scale: tuple[float, float]) -> Picture:
    """Draw a value and its interval on a scale. A value or an interval that is NaN is left out.

    Parameters
    ----------
    value, low, high : float
        The value, and the ends of its interval.
    scale : (float, float)
        Values at both ends of the picture.
    """
    start, end = scale
    size = end - start or 1.0

    def place(number: float) -> float:
        return 5 + (WIDTH - 10) * min(max((number - start) / size, 0.0), 1.0)

    middle = HEIGHT / 2
    shapes = (
        f'<line x1="0" x2="{WIDTH}" y1="{middle}" y2="{middle}" '
        'stroke="currentColor" opacity=".25"/>'
    )
    if not (math.isnan(low) or math.isnan(high)):
        shapes += (
            f'<rect x="{place(low):.1f}" y="{middle - 3}" rx="3" height="6" '
            f'width="{max(place(high) - place(low), 2):.1f}" fill="{HUE}" opacity=".45"/>'
        )
    if not math.isnan(value):
        shapes += f'<circle cx="{place(value):.1f}" cy="{middle}" r="4.5" fill="{HUE}"/>'
    return _picture(shapes)


def histogram(counts: Sequence[int], height: int = 48) -> Picture:
    """Draw a histogram with one column for each count."""
    most, width = max(max(counts, default=0), 1), WIDTH / max(len(counts), 1)
    shapes = "".join(
        f'<rect x="{i * width + 0.5:.1f}" y="{height * (1 - n / most):.1f}" '
        f'width="{width - 1:.1f}" height="{height * n / most:.1f}" fill="{HUE}"/>'
        for i, n in enumerate(counts)
    )
    base = f'<line x1="0" x2="{WIDTH}" y1="{height}" y2="{height}" stroke="currentColor"/>'
    return _picture(shapes + base, height)


def _picture(shapes: str, height: int = HEIGHT) -> Picture:
    return Picture(
        f'<svg width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" aria-hidden="true" '
        f'style="vertical-align:middle;min-width:{WIDTH}px">{shapes}</svg>'
    )
