"""A figure that notebooks show as a picture.

By default, a notebook shows only the figures of pyplot, which keeps every figure in memory.
"""

import io
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase


class ShownFigure(Figure):
    """A figure with a PNG representation."""

    def draw(self, renderer: "RendererBase") -> None:
        """Draw the figure, or compute only its layout if it is drawn for that.

        `savefig` first draws a figure with a layout engine without output. Then it replaces the
        engine by an empty one, and draws the figure again.
        """
        engine = self.get_layout_engine()
        if isinstance(engine, ConstrainedLayoutEngine) and self.canvas.is_saving():
            engine.execute(self)
        else:
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """Return the figure as PNG, for the output of a cell."""
        data = io.BytesIO()
        self.savefig(data, format="png", dpi=100)
        return data.getvalue()
