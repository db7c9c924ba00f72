"""Tests of saving, reading and plotting a run."""

from pathlib import Path

import numpy as np
import pytest

from clipfeat.errors import DataError, OutputExistsError, UnknownNameError, UsageError
from clipfeat.evaluate import Benchmark, benchmark, compare
from tests.conftest import make_features


@pytest.fixture(scope="module")
def run() -> Benchmark:
    return benchmark(make_features(40, apart=1.0), "logreg,dummy", protocol=3)


def test_a_saved_run_is_loaded_and_compared(run: Benchmark, tmp_path: Path) -> None:
    """A run folder has tables and a report, and can be compared by its path."""
    folder = tmp_path / "run"
    paths = run.save(folder)
    assert (folder / "report.html") in paths
    again = Benchmark.load(folder)
    for entry, p in run.probabilities.items():
        assert np.array_equal(p, again.probabilities[entry])
    comparison = compare([folder, run], "roc_auc")
    assert comparison.runs == [str(folder), "run 2"]
    table = comparison.to_pandas()
    assert table.entry.tolist() == ["logreg", "logreg", "dummy", "dummy"]
    assert (table.better == 0).all()
    with pytest.raises(OutputExistsError, match="is not empty"):
        run.save(folder)
    run.save(folder, board=run.leaderboard("roc_auc"), overwrite=True)


def test_plots_have_names(run: Benchmark) -> None:
    """Each plot name gives a figure. Unknown names and plots without data are errors."""
    figure = run.plot("roc", entries=["logreg"])
    assert figure.axes[0].get_lines()
    with pytest.raises(UnknownNameError, match="did you mean roc"):
        run.plot("rok")
    with pytest.raises(DataError, match="few_shot"):
        run.plot("few_shot")


def test_a_comparison_needs_two_runs(run: Benchmark, tmp_path: Path) -> None:
    """A single run, no run, or the same folder twice is a usage error."""
    for runs in ([run], [tmp_path, tmp_path], []):
        with pytest.raises(UsageError, match="two or more runs with different names"):
            compare(runs)
    with pytest.raises(UnknownNameError, match="did you mean roc_auc"):
        compare([run, run], "roc-auc")
