"""The HTML page of a benchmark."""

from clipfeat.report.page.leaderboard_table import leaderboard_table
from clipfeat.report.page.write import PageOptions, write_page

__all__ = ["PageOptions", "leaderboard_table", "write_page"]
