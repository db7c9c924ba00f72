"""What a benchmark found, for people: tables on the terminal and in files."""

from clipfeat.report.leaderboard import Leaderboard, leaderboard

__all__ = ["Leaderboard", "leaderboard"]
