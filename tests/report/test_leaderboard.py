"""The leaderboard."""

import json
from pathlib import Path

import pytest

from clipfeat.errors import UnknownNameError
from clipfeat.evaluate import benchmark
from clipfeat.features import FeatureSet
from clipfeat.report import leaderboard, save_run


def rows(**values: list[float]) -> list[dict[str, object]]:
    """Tidy rows of balanced accuracy."""
    return [
        {"classifier": entry, "metric": "balanced_accuracy", "fold": str(i), "value": value}
        for entry, of_entry in values.items()
        for i, value in enumerate(of_entry)
    ]


def test_best_first_with_spread() -> None:
    """Entries are ordered by their mean; a cell shows mean and standard deviation."""
    board = leaderboard(rows(low=[0.5, 0.7], high=[0.9, 0.9], none=[float("nan")]))
    assert board.entries == ["high", "low", "none"]
    assert board.cell("low", "balanced_accuracy") == "0.600 ± 0.141"
    assert board.cell("none", "balanced_accuracy") == "–"
    with pytest.raises(UnknownNameError, match="did you mean accuracy"):
        leaderboard([], sort="acuracy")


def test_a_run_is_a_folder_of_files(features: FeatureSet, tmp_path: Path) -> None:
    """Markdown, CSV, JSON, tidy scores and probabilities, each readable and complete."""
    run = benchmark(features, "logreg,dummy", cv=3)
    paths = save_run(run, leaderboard(run.rows), tmp_path / "run")
    assert {p.name for p in paths} == {p.name for p in (tmp_path / "run").iterdir()}
    content = json.loads((tmp_path / "run" / "leaderboard.json").read_text())
    assert [e["classifier"] for e in content["entries"]] == ["logreg", "dummy"]
    assert content["about"]["protocol"] == "3-fold"
    assert (tmp_path / "run" / "leaderboard.md").read_text().count("\n") == 4
