"""What a benchmark found, for people: tables on the terminal and in files."""

from clipfeat.report.leaderboard import Leaderboard, leaderboard
from clipfeat.report.remarks import remarks
from clipfeat.report.run_folder import save_run

__all__ = ["Leaderboard", "leaderboard", "remarks", "save_run"]
