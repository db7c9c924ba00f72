"""The page as a file."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.report.page import write_page
from tests.report.runs import make_run, with_generators

EVIL = '<script>alert("x")</script>'


def test_one_page_and_every_picture_twice(tmp_path: Path) -> None:
    """Sections in their order; nothing outside is referred to, and what is linked is there."""
    features = with_generators(40)
    run = make_run(features, thresholds=True)
    paths = write_page(
        run, Leaderboard.from_rows(run.rows), tmp_path, features=features, remarks=["so it is"]
    )
    assert set(paths) == {path for path in tmp_path.rglob("*") if path.is_file()}
    html = paths[0].read_text(encoding="utf-8")
    names = re.findall(r'<section id="([^"]*)', html)
    assert names == [
        "audit", "leaderboard", "thresholds", "setting", "curves", "calibration", "scores",
        "confusion", "by-value", "map", "mistakes",
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


def test_what_users_named_is_never_markup(tmp_path: Path) -> None:
    """Classes, paths, columns, entries, errors, remarks and commands; undecodable bytes as well."""
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
    paths = write_page(run, board, tmp_path, features=features, remarks=[EVIL])
    html = paths[0].read_text(encoding="utf-8")
    assert html.count("<script") == 1
    assert html.count("alert") > 10
    assert all("<script" not in path.read_text() for path in paths if path.suffix == ".svg")


def test_two_entries_of_one_file_name_have_two_pictures(tmp_path: Path) -> None:
    """Names that differ by a sign alone do not overwrite each other."""
    run = make_run(with_generators(20), None, {"svm @ a/b": 1.0, "svm @ a-b": 0.5})
    paths = write_page(run, Leaderboard.from_rows(run.rows), tmp_path)
    assert len(set(paths)) == len(paths)
    assert tmp_path / "plots" / "scores-svm-a-b-2.svg" in paths


def test_a_run_of_which_nothing_is_left_has_a_page(tmp_path: Path) -> None:
    """No answers, no pictures; the leaderboard's errors are told."""
    run = replace(make_run(with_generators(20)), outcomes=[], rows=[], errors={"svm": "no"})
    paths = write_page(run, Leaderboard.from_rows([]), tmp_path)
    assert "failed: no" in paths[0].read_text()
    assert len(paths) == 1
