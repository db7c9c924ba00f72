"""Tests of another detector's scores as an entry of a benchmark."""

import unicodedata
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from clipfeat.errors import DataError, UsageError
from clipfeat.evaluate import Benchmark, LeaveOneOut, Scores, TrainTest, benchmark, compare
from clipfeat.evaluate.thresholds import choose_threshold
from clipfeat.features import FeatureSet
from clipfeat.report import load_run, remarks, save_run
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features
from tests.evaluate.test_protocols import generators

DATA = make_features(40, apart=1.5)


def logits(data: FeatureSet, scale: float = 3.0) -> dict[str, float]:
    rng = np.random.default_rng(1)
    return dict(zip(data.paths.tolist(), scale * (data.y - 0.5 + rng.normal(size=len(data))),
                    strict=True))  # fmt: skip


def value(run: Benchmark, entry: str, metric: str) -> float:
    return run.leaderboard().mean[entry][metric]


def test_probabilities_equal_those_of_the_classifier_that_made_them(tmp_path: Path) -> None:
    """Scores of a fitted entry, read from a file, give the same metrics."""
    first = benchmark(DATA, "logreg", protocol=4)
    p = first.probabilities["logreg"][:, 1]
    lines = [f"{path},{score!r}" for path, score in zip(first.paths, p.tolist(), strict=True)]
    (tmp_path / "same.csv").write_text("path,score\n" + "\n".join(lines))
    run = benchmark(DATA, ["logreg", Scores.read(tmp_path / "same.csv")], protocol=4)
    board = run.leaderboard()
    for metric in ("accuracy", "roc_auc", "average_precision", "log_loss", "calibration_error"):
        assert board.mean["same"][metric] == pytest.approx(board.mean["logreg"][metric])
    assert [one.p_value for one in board.standings.values()] == [1, 1]
    assert run.about["voters"] == ["logreg"] and "soft vote" not in run.entries
    assert "fit_seconds" not in board.mean["same"]


@pytest.mark.parametrize("scale", [3.0, 1e-6, 1e6])
def test_scores_of_any_range(scale: float, tmp_path: Path) -> None:
    """Unbounded scores keep their ranking and get a threshold, but no probability metrics."""
    scores = logits(DATA, scale)
    run = benchmark(DATA, ["logreg", Scores("other", scores)], protocol=4)
    raw = np.array([scores[path] for path in run.paths])
    aucs = [roc_auc_score(run.y[run.fold == i], raw[run.fold == i]) for i in range(4)]
    precisions = [average_precision_score(run.y[run.fold == i], raw[run.fold == i])
                  for i in range(4)]  # fmt: skip
    assert value(run, "other", "roc_auc") == pytest.approx(np.mean(aucs))
    assert value(run, "other", "average_precision") == pytest.approx(np.mean(precisions))
    accuracies = []
    for i in range(4):
        train, test = run.fold != i, run.fold == i
        low, high = raw.min(), raw.max()
        scaled = (raw - low) / (high - low)
        cut = choose_threshold(run.y[train], scaled[train], metric="balanced_accuracy")
        accuracies.append(((scaled[test] > cut) == run.y[test]).mean())
    assert value(run, "other", "accuracy") == pytest.approx(np.mean(accuracies))
    board = run.leaderboard()
    for metric in ("log_loss", "brier", "calibration_error"):
        assert board.cell("other", metric) == "–"
    assert "other" not in run.leaderboard("log_loss").standings
    assert "logreg" not in run.thresholds
    text = " ".join(remarks(run, board))
    assert "other: the scores are not in [0, 1]" in text and "not known whether" in text
    save_run(run, tmp_path)
    assert load_run(tmp_path).leaderboard().standings == board.standings
    entries = {one.entry for one in compare({"a": run, "b": run}, "brier").entries}
    assert entries == {"logreg"}


def test_scores_that_rounding_would_tie_are_ranked() -> None:
    """One huge score does not make all other scores tie."""
    scores = logits(DATA)
    plain = value(benchmark(DATA, [Scores("x", scores)], protocol=4), "x", "roc_auc")
    largest = max(scores, key=lambda path: scores[path])
    run = benchmark(DATA, [Scores("x", {**scores, largest: 1e30})], protocol=4)
    assert value(run, "x", "roc_auc") == pytest.approx(plain)


def test_every_protocol_takes_scores() -> None:
    """Leave-one-out, a separate test set and an official split accept scores."""
    data = generators()
    run = benchmark(data, ["logreg", Scores("x", logits(data))], protocol=LeaveOneOut("generator"))
    assert set(run.entries) == {"logreg", "x"}
    parts = np.array(["train", "val", "test"])[np.arange(80) % 3]
    run = benchmark(
        replace(DATA, columns={"split": parts}), ["logreg", Scores("x", logits(DATA))],
        options=FitOptions(threshold="accuracy"),
    )  # fmt: skip
    assert set(run.about["validation"]["scores"]["x"]) & {"log_loss", "roc_auc"} == {"roc_auc"}
    test = replace(DATA, keys=np.char.replace(DATA.keys, b"0", b"e"))
    unique = np.array([f"{i}.png" for i in range(80)])
    run = benchmark(
        replace(DATA, paths=np.char.add("t", unique)),
        ["logreg", Scores("x", dict.fromkeys(unique, 0.7))],
        protocol=TrainTest(replace(test, paths=unique)),
    )  # fmt: skip
    assert value(run, "x", "roc_auc") == 0.5
    twice = np.array([f"{'ab'[i % 2]}/{i // 2}.png" for i in range(80)])
    with pytest.raises(
        DataError, match=r"'0.png' in the scores of x is the name of 2 images, such"
    ):
        benchmark(replace(DATA, paths=twice), [Scores("x", dict.fromkeys(unique, 0.1))], protocol=4)


def test_scores_are_paired_like_labels() -> None:
    """Scores are paired with images by the same rule as the labels of tables."""
    names = [f"d/é{i}.png" for i in range(80)]
    data = replace(DATA, paths=np.array(names))
    scores = dict(zip(names, logits(DATA).values(), strict=True))
    expected = value(benchmark(data, [Scores("x", scores)], protocol=4), "x", "roc_auc")
    for change in (
        lambda path: unicodedata.normalize("NFD", path),
        lambda path: f"./{path}",
        lambda path: PurePosixPath(path).name,
        lambda path: PurePosixPath(path).stem,
    ):
        renamed = Scores("x", {change(path): score for path, score in scores.items()})
        assert value(benchmark(data, [renamed], protocol=4), "x", "roc_auc") == expected
    for other in (unicodedata.normalize("NFD", names[0]), "é0.png", "é0"):
        same = Scores("x", {**scores, other: scores[names[0]]})
        assert value(benchmark(data, [same], protocol=4), "x", "roc_auc") == expected
        with pytest.raises(DataError, match=r"x has two scores for 'd/é0.png': .* and 9 in"):
            benchmark(data, [Scores("x", {**scores, other: 9.0})], protocol=4)
    with pytest.raises(
        DataError, match=r"80 of 80 .*such as 'd/é0.png'. The scores have names like '/r/d/é0.png"
    ):
        benchmark(data, [Scores("x", {f"/r/{p}": s for p, s in scores.items()})], protocol=4)


def test_a_path_of_two_images_has_no_silent_score() -> None:
    """A path in both sets refers to the test image. It is an error if both need a score."""
    test = replace(DATA, keys=np.char.replace(DATA.keys, b"0", b"e"))
    scores = {path: 0.1 + 0.8 * y for path, y in zip(DATA.paths, DATA.y.tolist(), strict=True)}
    run = benchmark(DATA, ["logreg", Scores("x", scores)], protocol=TrainTest(test))
    assert value(run, "x", "roc_auc") == 1
    outside = {path: 5 * score for path, score in scores.items()}
    with pytest.raises(DataError, match=r"80 of 160 images have no score of x, such as 'test:fake"):
        benchmark(DATA, ["logreg", Scores("x", outside)], protocol=TrainTest(test))


def test_frames_have_their_own_scores() -> None:
    """A score of a frame is preferred to a score of its video."""
    paths = np.array([f"{i // 2}.mp4#t={i % 2}" for i in range(80)])
    files = np.array([f"{i // 2}.mp4" for i in range(80)])
    data = replace(DATA, paths=paths, columns={"file": files})
    of_frames = dict(zip(paths.tolist(), (0.1 + 0.8 * DATA.y).tolist(), strict=True))
    for scores in (of_frames, {**dict.fromkeys(files.tolist(), 0.5), **of_frames}):
        assert value(benchmark(data, [Scores("x", scores)], protocol=4), "x", "roc_auc") == 1
    flat = Scores("x", dict.fromkeys(files.tolist(), 0.5))
    assert value(benchmark(data, [flat], protocol=4), "x", "roc_auc") == 0.5


def test_scores_that_cannot_be_used() -> None:
    """Missing scores, repeated names and more than two classes are errors."""
    scores = logits(DATA)
    some = dict(list(scores.items())[5:])
    with pytest.raises(DataError, match=r"5 of 80 images have no score of x, such as 'real/0000"):
        benchmark(DATA, ["logreg", Scores("x", some)], protocol=4)
    with pytest.raises(
        DataError, match=r"1 of 2 scores of x are not finite numbers. The first .* b"
    ):
        Scores("x", {"a": 1.0, "b": float("nan")})
    for name in ("logreg", "soft vote"):
        with pytest.raises(UsageError, match="is the name of a classifier or a vote"):
            benchmark(DATA, ["logreg", Scores(name, scores)], protocol=4)
    with pytest.raises(UsageError, match="two files of scores have the same name"):
        benchmark(DATA, ["logreg", Scores("x", scores), Scores("x", scores)], protocol=4)
    with pytest.raises(UsageError, match="scores of x need two classes, got 3"):
        benchmark(make_features(classes=("a", "b", "c")), [Scores("x", scores)], protocol=4)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("path,score\na.png,1\na.png,2\n", "two scores for a.png: 1 and 2"),
        ("path,score\na.png,nan\n", "row 2 of .* has no path and score: 'a.png,nan'"),
        ("path,score\na.png,x\n", "row 2 of .* has no path and score: 'a.png,x'"),
        ("name,one,two\na,1,2\n", r"\(columns: name, one, two\)"),
        ("", "is empty"),
        ("path,Score,score\na,1,2\n", "several columns for the same value: Score, score"),
        ("path,score\n", "has no scores"),
    ],
)
def test_files_that_cannot_be_read(text: str, match: str, tmp_path: Path) -> None:
    """The error names the row or the columns."""
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=match):
        Scores.read(tmp_path / "x.csv")


def test_headers_are_optional(tmp_path: Path) -> None:
    """Usual column names select paths and scores. Otherwise, the first two columns are used."""
    for number, text in enumerate(
        (
            "a,1\nb,2\n",
            "x,y\na,1\nb,2\n",
            "label,prob,File\n0,1,a\n1,2,b\n",
            "image_path,label,score\na,x,1\nb,y,2\n",
            "Image Name,m,Score\na,x,1\nb,y,2\n",
            "img;score;id\na;1;8\nb;2;9\n",
            "a\t1\r\nb\t2\r\n",
        )
    ):
        (tmp_path / f"{number}.csv").write_text(text)
        assert Scores.read(tmp_path / f"{number}.csv", "n").values == {"a": 1.0, "b": 2.0}
