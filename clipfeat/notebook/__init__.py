"""HTML for notebooks: the cards that the public results show as the output of a cell."""

from clipfeat.notebook.card import Cell, card, counted
from clipfeat.notebook.pictures import Picture, bar, histogram, interval

__all__ = ["Cell", "Picture", "bar", "card", "counted", "histogram", "interval"]
