"""A figure that notebooks show as a picture.

By default, a notebook shows only the figures of pyplot, which keeps every figure in memory.
"""

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure with a PNG representation."""

    def _repr_png_(self) -> bytes:
        """Return the figure as PNG, for the output of a cell."""
        data = io.BytesIO()
        self.savefig(data, format="png", dpi=100)
        return data.getvalue()
