"""A run as a folder."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.evaluate import FewShot, KFold, Matrix, Protocol, benchmark
from clipfeat.evaluate.standings import standings
from clipfeat.evaluate.tidy_rows import COLUMNS
from clipfeat.features import FeatureSet
from clipfeat.report import save_run
from clipfeat.report.run_folder import load_run
from clipfeat.zoo.fit_options import FitOptions
from tests.evaluate.test_protocols import generators


@pytest.mark.parametrize(
    ("protocol", "options"),
    [(KFold(3), FitOptions(threshold="accuracy")), (Matrix("generator", 3), FitOptions()),
     (FewShot([3, 6], repeats=2, n_splits=3), FitOptions())],
    ids=str,
)  # fmt: skip
def test_a_run_is_read_back_whole(protocol: Protocol, options: FitOptions, tmp_path: Path) -> None:
    """Rows, probabilities, thresholds, trials and columns: all that standings and pages ask for."""
    run = benchmark(generators(), "logreg,dummy", protocol=protocol, options=options)
    save_run(run, run.leaderboard(), tmp_path)
    again = load_run(tmp_path)
    pd.testing.assert_frame_equal(run.to_pandas(), again.to_pandas(), check_dtype=False)
    assert again.entries == run.entries
    for ours, theirs in zip(run.outcomes, again.outcomes, strict=True):
        assert ours.trial.name == theirs.trial.name
        assert {e: list(t) for e, t in ours.thresholds.items()} == theirs.thresholds
        for entry, p in ours.probabilities.items():
            assert np.array_equal(p, theirs.probabilities[entry], equal_nan=True)
    assert standings(run, "roc_auc") == standings(again, "roc_auc")
    assert (again.specs, again.classes) == (run.specs, run.classes)
    assert list(again.columns) == ["generator"]


def test_tables_are_tidy_in_both_formats(tmp_path: Path) -> None:
    """Parquet and CSV hold the same rows under the same names."""
    run = benchmark(generators(), "logreg", protocol=3)
    save_run(run, run.leaderboard(), tmp_path)
    parquet, csv = (
        pd.read_parquet(tmp_path / "scores.parquet"),
        pd.read_csv(tmp_path / "scores.csv"),
    )
    assert tuple(parquet.columns) == tuple(csv.columns) == COLUMNS
    assert np.allclose(parquet.value, csv.value)


@pytest.mark.parametrize("damage", ["run.json", "probabilities.npz", "scores.parquet"])
def test_damage_is_one_clear_error(damage: str, tmp_path: Path) -> None:
    """A file that is missing, cut short or none of ours is refused."""
    run = benchmark(generators(), "logreg", protocol=3)
    save_run(run, run.leaderboard(), tmp_path)
    whole = (tmp_path / damage).read_bytes()
    for content in (whole[: len(whole) // 2], b"{}", b""):
        (tmp_path / damage).write_bytes(content)
        with pytest.raises(RefusedFileError, match=r"(can(not)? be|not a) read"):
            load_run(tmp_path)
    (tmp_path / damage).unlink()
    with pytest.raises(RefusedFileError, match="holds no benchmark run"):
        load_run(tmp_path)


def test_a_run_is_a_folder_of_files(features: FeatureSet, tmp_path: Path) -> None:
    """Markdown, CSV, JSON, tidy scores and probabilities, each readable and complete."""
    run = benchmark(features, "logreg,dummy", protocol=3)
    paths = save_run(run, run.leaderboard(), tmp_path / "run")
    assert {p.name for p in paths} == {p.name for p in (tmp_path / "run").iterdir()}
    content = json.loads((tmp_path / "run" / "leaderboard.json").read_text())
    assert [e["classifier"] for e in content["entries"]] == ["logreg", "dummy"]
    assert content["about"]["protocol"] == "3-fold"
    assert (tmp_path / "run" / "leaderboard.md").read_text().count("\n") == 4
