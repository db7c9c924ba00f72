"""Tests that every ± on a page or in its tables is a labelled standard deviation over folds."""

import re
from pathlib import Path

import pytest

from clipfeat.evaluate import FewShot, KFold, LeaveOneOut, Matrix, Protocol
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.tidy_rows import headline_rows
from tests.report.runs import make_run, with_generators

PLUS_MINUS = re.compile(r"[\d.]+\s*(?:</[^>]+>\s*)?(?:<[^>]+>\s*)*(?:±|\$\\pm\$)\s*([\d.]+)")
OVER = r"(?:±|\$\\pm\$)[^.]{0,20}standard deviation over "


def spreads_of(run: Benchmark) -> set[str]:
    """Return the standard deviations of all cells of the leaderboard and the pivots."""
    import pandas as pd

    table = pd.DataFrame(headline_rows(run.rows))
    for outcome in run.headline:
        for entry, cuts in outcome.thresholds.items():
            rows = pd.DataFrame({"classifier": entry, "metric": "cut", "value": list(cuts)})
            table = pd.concat([table, rows])
    every = pd.DataFrame(list(run.rows))
    groups = [
        table.groupby(["classifier", "metric"]),
        every.groupby(["classifier", "metric", "n_train"]),
        every.groupby(["classifier", "metric", "trained_on", "tested_on"]),
        every.groupby(["classifier", "metric", "fold"]),
    ]
    return {f"{value:.3f}" for group in groups for value in group["value"].std().dropna()}


@pytest.mark.parametrize(
    ("protocol", "over", "in_pivot"),
    [
        (KFold(3), "folds", None),
        (Matrix("generator", 2), "folds and pairs of values", "folds"),
        (FewShot([3, 6], 2, 2), "draws", "draws"),
        (LeaveOneOut("generator", 2), "folds", "repeats"),
    ],
    ids=["KFold", "Matrix", "FewShot", "LeaveOneOut"],
)
def test_every_spread_is_of_one_kind_and_labelled(
    protocol: Protocol, over: str, in_pivot: str | None, tmp_path: Path
) -> None:
    """Each number after ± is a standard deviation, and its section labels it."""
    data = with_generators(30)
    run = make_run(data, protocol.plan(data), {"svm": 1.0, "dummy": 0.0}, thresholds=True)
    run.save(tmp_path)
    known = spreads_of(run)
    page = re.sub(r"<svg.*?</svg>", "", (tmp_path / "report.html").read_text(), flags=re.DOTALL)
    sections = [one for one in page.split("<section ") if "±" in one]
    assert [one[:14] for one in sections] == ['id="leaderboar', 'id="thresholds']
    for section in sections:
        spreads = PLUS_MINUS.findall(section)
        assert len(spreads) > 4
        assert set(spreads) <= known
        text = " ".join(re.sub(r"<[^>]*>", " ", section).split())
        assert re.search(f"{OVER}{over}[.,]", text)
    assert "±" not in "".join(path.read_text() for path in (tmp_path / "plots").glob("*.svg"))
    for name in ("leaderboard.md", "leaderboard.tex"):
        text = (tmp_path / name).read_text()
        text = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
        assert set(PLUS_MINUS.findall(text)) <= known
        assert re.search(f"{OVER}{over}, not a standard error", text)
    markdown = (tmp_path / "leaderboard.md").read_text()
    labels = re.findall("mean ± standard deviation over ([a-z ]+)[,\n]", markdown)
    assert labels == ([in_pivot] if in_pivot else [])
    assert f"(mean ± standard deviation over {over})" in markdown
