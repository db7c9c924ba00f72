"""What a benchmark found as one page of HTML."""

from clipfeat.report.page.leaderboard_table import leaderboard_table
from clipfeat.report.page.write import write_page

__all__ = ["leaderboard_table", "write_page"]
