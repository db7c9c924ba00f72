"""Reports of a benchmark: tables, plots, the HTML page and the run folder."""

from clipfeat.report.remarks import balance_text, model_remarks, remarks
from clipfeat.report.run_folder import claimed_folder, load_run, save_run

__all__ = ["balance_text", "claimed_folder", "load_run", "model_remarks", "remarks", "save_run"]
