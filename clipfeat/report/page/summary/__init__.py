"""The first screen of the page: question, best entry, trust, rates and confusion matrix."""

from clipfeat.report.page.summary.summary import Summary, summarise

__all__ = ["Summary", "summarise"]
