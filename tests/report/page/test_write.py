"""Tests of writing the page and its plots."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from clipfeat.evaluate import benchmark
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.features import FeatureSet
from clipfeat.report.page import PageOptions, write_page
from clipfeat.report.page.summary.rate_chart import MAX_BARS
from tests.report.runs import make_run, with_generators

EVIL = '<script>alert("x")</script>'


def test_a_page_and_two_files_per_plot(tmp_path: Path) -> None:
    """Sections are in order, links lead to written files, and nothing external is loaded."""
    features = with_generators(40)
    run = make_run(features, thresholds=True)
    paths = write_page(
        run, Leaderboard.from_rows(run.rows), tmp_path, PageOptions(features), ["a remark"]
    )
    assert set(paths) == {path for path in tmp_path.rglob("*") if path.is_file()}
    html = paths[0].read_text(encoding="utf-8")
    names = re.findall(r'<section id="([^"]*)', html)
    assert names == [
        "audit", "leaderboard", "thresholds", "details", "curves", "calibration", "scores",
        "confusion", "by-value", "map", "errors",
    ]  # fmt: skip
    links = set(re.findall(r'<a href="([^"#]+)"', html))
    assert links == {f"plots/{path.name}" for path in paths[1:]}
    assert {path.suffix for path in paths[1:]} == {".svg", ".png"}
    assert not set(re.findall(r'https?://[^"\s]+', html)) - {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
    }  # fmt: skip
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert html.count('role="img" aria-label=') == (len(paths) - 1) // 2


def test_links_lead_to_sections(tmp_path: Path) -> None:
    """Without a table of rates, the chart of many classes has no link to it."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(MAX_BARS + 2), 6)
    X = rng.normal(y[:, None], 3.0, (len(y), 4)).astype(np.float32)
    run = benchmark(
        FeatureSet.from_arrays(X, [f"class {code:02d}" for code in y]), "lda", protocol=2
    )
    html = write_page(run, run.leaderboard(), tmp_path)[0].read_text(encoding="utf-8")
    assert "2 better rates are not shown." in html
    ids = set(re.findall(r'\bid="([^"]*)"', html))
    assert set(re.findall(r'href="#([^"]*)"', html)) <= ids


def test_user_text_is_escaped(tmp_path: Path) -> None:
    """Markup in classes, paths, columns, entries, errors, remarks and the command is escaped."""
    features = with_generators(20)
    features = replace(
        features,
        classes=("real", EVIL),
        paths=np.array([f"{EVIL}\udc80{i}" for i in range(40)]),
        columns={"generator": np.where(features.y == 0, "", EVIL)},
    )
    run = make_run(features, None, {EVIL: 1.0, EVIL + "2": 0.5}, command=EVIL)
    run = replace(run, errors={"mlp": EVIL})
    board = Leaderboard.from_rows(run.rows)
    paths = write_page(run, board, tmp_path, PageOptions(features), [EVIL])
    html = paths[0].read_text(encoding="utf-8")
    assert html.count("<script") == 1
    assert html.count("alert") > 10
    assert all("<script" not in path.read_text() for path in paths if path.suffix == ".svg")


def test_entries_with_the_same_file_name_have_two_plots(tmp_path: Path) -> None:
    """Plots of names that differ only in punctuation have different files."""
    run = make_run(with_generators(20), None, {"svm @ a/b": 1.0, "svm @ a-b": 0.5})
    paths = write_page(run, Leaderboard.from_rows(run.rows), tmp_path)
    assert len(set(paths)) == len(paths)
    assert tmp_path / "plots" / "scores-svm-a-b-2.svg" in paths


def test_a_failed_run_has_a_page(tmp_path: Path) -> None:
    """Without predictions, the page lists the errors and has no plots."""
    run = replace(make_run(with_generators(20)), outcomes=[], rows=[], errors={"svm": "no"})
    paths = write_page(run, Leaderboard.from_rows([]), tmp_path)
    assert "failed: no" in paths[0].read_text()
    assert len(paths) == 1
