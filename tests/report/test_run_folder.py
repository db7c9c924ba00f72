"""Tests of run folders."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.result import Audit
from clipfeat.errors import LockedError, OutputExistsError, RefusedFileError, StorageError
from clipfeat.evaluate import FewShot, KFold, Matrix, Protocol, benchmark
from clipfeat.evaluate.standings import standings
from clipfeat.evaluate.tidy_rows import COLUMNS
from clipfeat.features import FeatureSet
from clipfeat.report import claimed_folder, load_run, remarks, save_run
from clipfeat.report.page import PageOptions
from clipfeat.system import files
from clipfeat.system.files import read_arrays
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features
from tests.evaluate.test_protocols import generators
from tests.report.runs import make_run, with_generators


@pytest.mark.parametrize(
    ("protocol", "options"),
    [(KFold(3), FitOptions(threshold="accuracy")), (Matrix("generator", 3), FitOptions()),
     (FewShot([3, 6], repeats=2, n_splits=3), FitOptions())],
    ids=str,
)  # fmt: skip
def test_loading_restores_a_run(protocol: Protocol, options: FitOptions, tmp_path: Path) -> None:
    """A loaded run has the rows, probabilities, thresholds, trials and columns of the saved run."""
    run = benchmark(generators(), "logreg,dummy", protocol=protocol, options=options)
    save_run(run, tmp_path, page=None)
    loaded = load_run(tmp_path)
    pd.testing.assert_frame_equal(run.to_pandas(), loaded.to_pandas(), check_dtype=False)
    assert loaded.entries == run.entries
    for saved, restored in zip(run.outcomes, loaded.outcomes, strict=True):
        assert saved.trial.name == restored.trial.name
        assert {e: list(t) for e, t in saved.thresholds.items()} == restored.thresholds
        for entry, p in saved.probabilities.items():
            assert np.array_equal(p, restored.probabilities[entry], equal_nan=True)
    assert standings(run, "roc_auc") == standings(loaded, "roc_auc")
    assert (loaded.specs, loaded.classes) == (run.specs, run.classes)
    assert list(loaded.columns) == ["generator"]


def test_a_folder_of_training_holds_a_run(tmp_path: Path) -> None:
    """A folder of `clipfeat.train` can be loaded like the run folder in it."""
    run = make_run(with_generators(30))
    save_run(run, tmp_path / "benchmark", page=None)
    assert load_run(tmp_path).entries == load_run(tmp_path / "benchmark").entries == run.entries


def test_loading_restores_the_choice_on_val(tmp_path: Path) -> None:
    """A loaded run has the order, columns and remarks of the saved run."""
    data = with_generators(30)
    parts = np.array(["train", "val", "train", "test"])[np.arange(60) % 4]
    run = benchmark(replace(data, columns={"split": parts}), "logreg,knn,dummy", vote="greedy")
    save_run(run, tmp_path, page=None)
    loaded = load_run(tmp_path)
    board = loaded.leaderboard()
    expected = run.leaderboard()
    assert (board.entries, board.standings) == (expected.entries, expected.standings)
    assert board.validation == expected.validation
    assert "best entry, thresholds and learned votes are chosen on 15 val" in remarks(run, board)[0]
    assert "| rank | balanced acc. on val |" in (tmp_path / "leaderboard.md").read_text()
    assert board.to_pandas().balanced_accuracy_on_validation.notna().all()


def test_rates_are_written(tmp_path: Path) -> None:
    """The Markdown file and the page show the best entry. The CSV file has all entries."""
    run = make_run(with_generators(20), None, {"svm": 2.0, "knn": 0.1})
    save_run(run, tmp_path)
    table = pd.read_csv(tmp_path / "rates.csv", keep_default_na=False)
    assert table.groupby("classifier").size().to_dict() == {"svm": 4, "knn": 4}
    assert set(table.columns) >= {"threshold", "value", "label", "kind", "rate", "low", "high"}
    title = "recall of fake by generator: svm at threshold 0.5, positive class fake"
    for name in ("leaderboard.md", "report.html"):
        assert title in (tmp_path / name).read_text(encoding="utf-8")
    assert (
        "| (none) | real | 20 | false positive rate |" in (tmp_path / "leaderboard.md").read_text()
    )


def test_parquet_and_csv_hold_the_same_rows(tmp_path: Path) -> None:
    """Both files have the columns and the values of the tidy rows."""
    run = benchmark(generators(), "logreg", protocol=3)
    save_run(run, tmp_path, page=None)
    parquet, csv = (
        pd.read_parquet(tmp_path / "scores.parquet"),
        pd.read_csv(tmp_path / "scores.csv"),
    )
    assert tuple(parquet.columns) == tuple(csv.columns) == COLUMNS
    assert np.allclose(parquet.value, csv.value, equal_nan=True)


@pytest.mark.parametrize("damage", ["run.json", "probabilities.npz", "scores.parquet"])
def test_a_damaged_run_is_refused(damage: str, tmp_path: Path) -> None:
    """A missing, truncated or unrelated file of a run raises an error."""
    run = benchmark(generators(), "logreg", protocol=3)
    save_run(run, tmp_path, page=None)
    whole = (tmp_path / damage).read_bytes()
    for content in (whole[: len(whole) // 2], b"{}", b""):
        (tmp_path / damage).write_bytes(content)
        with pytest.raises(RefusedFileError, match=r"damaged benchmark run|not a readable"):
            load_run(tmp_path)
    (tmp_path / damage).unlink()
    with pytest.raises(RefusedFileError, match="holds no benchmark run"):
        load_run(tmp_path)


def test_wrong_types_in_a_run_are_refused(tmp_path: Path) -> None:
    """Wrong types are an error when the run is loaded, not when remarks are written."""
    save_run(make_run(make_features(10), None, {"svm": 2.0}), tmp_path, page=None)
    file = tmp_path / "run.json"
    described = json.loads(file.read_text())
    names = ("classes", "errors", "votes", "tuned", "caveats", "validation", "scores",
             "near_duplicates", "data_fingerprint", "shared", "versions")  # fmt: skip
    for name, value in itertools.product(names, ([["a"]], 3, {"a": 1})):
        if (name, value) not in [("versions", {"a": 1}), ("shared", 3)]:
            changed = {**described, "about": {**described["about"], name: value}}
            file.write_text(json.dumps(changed))
            with pytest.raises(RefusedFileError, match="damaged benchmark run"):
                load_run(tmp_path)
    surrogates = {**described["about"], "classes": ["real", "\ud800"]}
    file.write_text(json.dumps({**described, "about": surrogates}))
    with pytest.raises(RefusedFileError, match="classes is"):
        load_run(tmp_path)
    file.write_text("[" * 100_000)
    with pytest.raises(RefusedFileError, match="damaged benchmark run"):
        load_run(tmp_path)


def test_wrong_arrays_and_rows_are_refused(tmp_path: Path) -> None:
    """Wrong arrays are an error when the run is loaded, not when it is ranked."""
    run = make_run(make_features(10), None, {"svm": 2.0})
    save_run(run, tmp_path, page=None)
    arrays = read_arrays(tmp_path / "probabilities.npz")
    rows = pd.read_parquet(tmp_path / "scores.parquet")
    n = len(run.y)
    for name, values in {
        "y": np.zeros((n, 2), int), "files": np.zeros((n, 2), "U1"), "fold/0": np.zeros(3, int),
        "p/0/svm": np.full((n, 2), "a"), "groups": np.zeros(n, [("a", "i4")]),
        "paths": np.full(n, 7), "keys": np.zeros(1, "S32"),
    }.items():  # fmt: skip
        np.savez(tmp_path / "probabilities.npz", **(arrays | {name: values}))
        with pytest.raises(RefusedFileError, match="damaged benchmark run"):
            load_run(tmp_path)
    np.savez(tmp_path / "probabilities.npz", **(arrays | {"y": np.full(n, 9)}))
    with pytest.raises(RefusedFileError, match="y has classes from 9 to 9"):
        load_run(tmp_path)
    np.savez(tmp_path / "probabilities.npz", **arrays)
    for name, value in {
        "value": "a", "n_train": np.inf, "classifier": None, "metric": 5, "fold": [["a"]],
    }.items():  # fmt: skip
        column = value * len(rows) if isinstance(value, list) else value
        rows.assign(**{name: column}).to_parquet(tmp_path / "scores.parquet")
        with pytest.raises(RefusedFileError, match="damaged benchmark run"):
            load_run(tmp_path)
    rows.drop(columns="value").to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(RefusedFileError, match="damaged benchmark run"):
        load_run(tmp_path)


def test_a_table_of_scores_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    """A small file with millions of equal rows or repeated texts is refused."""
    save_run(make_run(make_features(10), None, {"svm": 2.0}), tmp_path, page=None)
    rows = pd.read_parquet(tmp_path / "scores.parquet")
    rows.iloc[np.zeros(600_000, int)].to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(RefusedFileError, match="would unpack to 600000 rows"):
        load_run(tmp_path)
    rows.assign(classifier="x" * 10**6).to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(RefusedFileError, match="a text has 1000000 bytes"):
        load_run(tmp_path)


def test_saving_writes_every_file_of_the_folder(features: FeatureSet, tmp_path: Path) -> None:
    """The leaderboard lists the entries. The returned paths are all files of the folder."""
    run = benchmark(features, "logreg,dummy", protocol=3)
    folder = tmp_path / "run"
    paths = save_run(run, folder, page=None)
    assert {path.name for path in paths} == {path.name for path in folder.iterdir()}
    content = json.loads((folder / "leaderboard.json").read_text())
    assert [entry["classifier"] for entry in content["entries"]] == ["logreg", "dummy"]
    assert content["about"]["protocol"] == "3-fold"
    text = (folder / "leaderboard.md").read_text()
    assert text.startswith("3-fold on 40 images, balance none, positive class fake, by balanced")
    assert text.count("\n| ") == 4
    assert set(pd.read_csv(folder / "leaderboard.csv").positive_class) == {"fake"}
    assert "They account for the choice of test images" in text


def test_the_page_is_written_from_the_run_alone(tmp_path: Path) -> None:
    """Without further content, the page has plots and states that there is no audit."""
    paths = save_run(make_run(with_generators(20), None, {"svm": 1.0, "knn": 0.5}), tmp_path)
    page = paths[-1].read_text(encoding="utf-8")
    assert paths[-1].name == "report.html"
    assert "This report contains no audit" in page
    assert (tmp_path / "plots" / "roc.svg").is_file()


def test_every_caveat_is_in_the_leaderboard_and_on_the_page(tmp_path: Path) -> None:
    """Both files list leaks, skipped checks, near duplicates and failures."""
    features = with_generators(20)
    run = make_run(features, None, {"svm": 2.0}, near_duplicates={"searched": 40, "separated": 7})
    run = replace(run, errors={"knn": "no neighbours"})
    leak = Finding("width", "leak", "width alone separates real from fake")
    checked = Audit([leak], [], {"exif": "no images"}, 40)
    lines = remarks(run, run.leaderboard(), checked)
    paths = save_run(run, tmp_path, page=PageOptions(audit=checked))
    table, page = (tmp_path / "leaderboard.md").read_text(), unescape(paths[-1].read_text("utf-8"))
    assert all(f"- {line}" in table for line in lines)
    assert all(line.removeprefix("LEAK: ") in page for line in lines)
    text = "".join(lines)
    for part in (leak.sentence, "not checked: exif", "7 of 40 test images", "knn failed: no nei"):
        assert part in text


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    """A folder with other files needs ``overwrite``. Command record and cell cache do not count."""
    run = make_run(with_generators(20), None, {"svm": 1.0})
    folder = tmp_path / "run"
    with claimed_folder(folder, {"clf": "svm"}) as cells:
        cells.mkdir()
    save_run(run, folder, page=None)
    with pytest.raises(OutputExistsError, match="is not empty"):
        save_run(run, folder, page=None)
    save_run(run, folder, page=None, overwrite=True)
    with pytest.raises(OutputExistsError, match="is a file"):
        save_run(run, folder / "run.json")


def test_only_the_same_command_claims_a_folder_again(tmp_path: Path) -> None:
    """A new command may claim an empty folder, or any folder with ``overwrite``."""
    folder = tmp_path / "run"

    def claim(seed: int, *, overwrite: bool = False) -> Path:
        with claimed_folder(folder, {"seed": seed}, overwrite=overwrite) as cells:
            return cells

    assert claim(0) == folder / "cells"
    claim(1).mkdir()
    claim(1)
    with pytest.raises(OutputExistsError, match="was not written by the same command"):
        claim(2)
    claim(2, overwrite=True)
    (folder / "command.json").write_bytes(b"\xff\xfe")
    with pytest.raises(OutputExistsError, match="was not written by the same command"):
        claim(2)


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    """A second benchmark is refused while the first is running."""
    with claimed_folder(tmp_path, {"seed": 0}):
        for overwrite in (False, True):
            with (
                pytest.raises(LockedError, match="is being written by process"),
                claimed_folder(tmp_path, {"seed": 1}, overwrite=overwrite),
            ):
                pass
    assert {path.name for path in tmp_path.iterdir()} == {"command.json"}


def test_a_failed_write_keeps_the_old_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever file cannot be written, the old run is not changed."""
    old, new = (make_run(with_generators(20), None, {name: 1.0}) for name in ("svm", "knn"))
    save_run(old, tmp_path)
    before = contents(tmp_path)
    n_files, published = 0, files.publish

    def failing(data: bytes, path: Path) -> None:
        nonlocal n_files
        n_files += 1
        if n_files == failing_file:
            raise StorageError("no space left")
        published(data, path)

    for module in ("run_folder", "page.write"):
        monkeypatch.setattr(f"clipfeat.report.{module}.publish", failing)
    for failing_file in (1, 5, 9):  # noqa: B007 -- `failing` reads it
        n_files = 0
        with pytest.raises(StorageError, match="no space left"):
            save_run(new, tmp_path, overwrite=True)
        assert contents(tmp_path) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_path_in_a_finding_is_literal_in_markdown(tmp_path: Path) -> None:
    """Paths in sentences of the audit, and names in the heading, are escaped."""
    path = "_a_/<img src=x>|*b*.png"
    finding = Finding("exact duplicates", "leak", f"2 files are copies, such as {path} and c.png")
    run = make_run(make_features(), protocol="leave one _x_ out")
    save_run(run, tmp_path, page=PageOptions(audit=Audit([finding], [], {}, 2)))
    text = (tmp_path / "leaderboard.md").read_text()
    assert r"such as \_a\_/\<img src=x\>\|\*b\*.png and c.png" in text
    assert text.startswith(r"leave one \_x\_ out on ")
    assert path not in text


def test_phases_are_reported(
    tmp_path: Path, phases_of: Callable[[Callable[..., Any]], list[str]]
) -> None:
    """Plots are drawn after the tables are written."""
    run = benchmark(make_features(), "logreg,dummy", protocol=2)
    assert phases_of(partial(run.save, tmp_path / "run", overwrite=True)) == [
        "writing tables", "drawing"
    ]  # fmt: skip


def test_a_link_in_a_claimed_folder_replaces_no_file_elsewhere(tmp_path: Path) -> None:
    """A folder with such a link is refused, even with `overwrite`."""
    (tmp_path / "run" / "plots").mkdir(parents=True)
    (tmp_path / "run" / "plots" / "roc.svg").symlink_to(tmp_path / "outside.txt")
    with (
        pytest.raises(OutputExistsError, match=r"roc\.svg is a link that leads outside"),
        claimed_folder(tmp_path / "run", {}, overwrite=True),
    ):
        pass
    assert not (tmp_path / "outside.txt").exists()


def test_the_earlier_name_of_the_command_is_read(tmp_path: Path) -> None:
    """A run begun by an earlier version resumes, and its record is renamed."""
    with claimed_folder(tmp_path, {"seed": 0}):
        (tmp_path / "leaderboard.md").touch()
    (tmp_path / "command.json").rename(tmp_path / "asked.json")
    with pytest.raises(OutputExistsError), claimed_folder(tmp_path, {"seed": 1}):
        pass
    with claimed_folder(tmp_path, {"seed": 0}):
        assert (tmp_path / "command.json").exists()
        assert not (tmp_path / "asked.json").exists()
