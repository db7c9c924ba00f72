"""What a benchmark found, for people: tables on the terminal and in files."""

from clipfeat.report.remarks import model_remarks, remarks
from clipfeat.report.run_folder import save_run

__all__ = ["model_remarks", "remarks", "save_run"]
