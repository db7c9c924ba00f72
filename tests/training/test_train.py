"""Tests of training runs: chosen model, files, reuse and errors."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfeat.errors import (
    DataError,
    LabelError,
    LockedError,
    OutputExistsError,
    UsageError,
    WeightsError,
)
from clipfeat.evaluate.fitting import fit_entry
from clipfeat.evaluate.votes import VOTE_TITLES
from clipfeat.model import load_model
from clipfeat.prediction.predicting import predict
from clipfeat.report import load_run
from clipfeat.report.run_folder import LOCK
from clipfeat.store import load
from clipfeat.system.lock import locked
from clipfeat.system.progress import Phase
from clipfeat.training.recipe import Recipe, find_recipe
from clipfeat.training.result import Training
from clipfeat.training.train import _finished_model, train
from tests.conftest import texture

SMALL = find_recipe("fast").using(["spectrum"], [32])


@pytest.fixture
def run(image_folder: Path, tmp_path: Path) -> Training:
    return train(image_folder, tmp_path / "run", SMALL)


def test_a_run_writes_a_model_of_the_best_entry(image_folder: Path, tmp_path: Path) -> None:
    """The model is the best entry of the benchmark and has its scores."""
    recipe = Recipe("two", "", "", ("spectrum",), ("logreg", "knn"), (32, 48))
    phases: list[Phase] = []
    training = train(image_folder, tmp_path / "run", recipe, progress=phases.append)
    board = load_run(tmp_path / "run" / "benchmark").leaderboard()
    assert training.entry == board.entries[0]
    model = load_model(tmp_path / "run" / "model.clipfeat")
    of_entry = [
        row["value"]
        for row in model.scores
        if (row["classifier"], row["metric"]) == (training.entry, board.metric)
    ]
    assert np.mean(of_entry) == board.mean[training.entry][board.metric]
    names = list(dict.fromkeys(one.name for one in phases))
    assert names[-4:] == ["benchmark", "fitting the model", "audit", "report"]
    assert max(one.done for one in phases if one.name == "features spectrum-48, encoding") == 24
    record = json.loads((tmp_path / "run" / "train.json").read_text())
    assert record["entry"] == training.entry
    text = (tmp_path / "run" / "summary.md").read_text()
    assert training.entry in text
    assert "clipfeat predict" in text


def test_the_same_call_reuses_everything(
    run: Training, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second call encodes and fits nothing, and keeps the model file."""
    before = (run.folder / "model.clipfeat").stat().st_mtime_ns

    def fit(*_: object, **__: object) -> None:
        raise AssertionError("a classifier is fitted again")

    monkeypatch.setattr("clipfeat.fits.running.run_cell", fit)
    monkeypatch.setattr("clipfeat.training.train.fit_entry", fit)
    again = train(image_folder, run.folder, SMALL)
    assert again.reused == {
        "features": "1 of 1 feature files", "benchmark": "5 fits", "model": "model.clipfeat",
    }  # fmt: skip
    assert (run.folder / "model.clipfeat").stat().st_mtime_ns == before


def test_a_changed_model_file_is_neither_reused_nor_replaced(
    run: Training, image_folder: Path
) -> None:
    """The error names the file. If it is moved away, the model is fitted again."""
    path = run.folder / "model.clipfeat"
    replace(run.model, threshold=0.9).save(path, overwrite=True)
    changed = path.read_bytes()
    with pytest.raises(OutputExistsError, match=r"model\.clipfeat was changed after the run"):
        train(image_folder, run.folder, SMALL)
    assert path.read_bytes() == changed
    path.rename(run.folder.parent / "adapted.clipfeat")
    again = train(image_folder, run.folder, SMALL)
    assert set(again.reused) == {"features", "benchmark"}
    assert again.model.threshold is None


def test_another_library_version_gives_a_new_model(
    run: Training, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a new library version, the benchmark and the model are fitted again."""
    for module in ("clipfeat.fits.cache", "clipfeat.training.train"):
        monkeypatch.setattr(f"{module}.versions", lambda: {"numpy": "99"})
    assert set(train(image_folder, run.folder, SMALL).reused) == {"features"}


def test_new_images_give_a_new_model(run: Training, image_folder: Path) -> None:
    """Only new images are encoded, and the model is fitted again."""
    rng = np.random.default_rng(5)
    for label, smooth in (("real", False), ("fake", True)):
        texture(rng, smooth=smooth).save(image_folder / label / "new.png")
    again = train(image_folder, run.folder, SMALL)
    assert again.features[0].progress.encoded == 2
    assert again.model.about["images"] == 26
    assert "model" not in again.reused


def test_an_interrupted_run_resumes(image_folder: Path, tmp_path: Path) -> None:
    """After Ctrl-C in the benchmark, finished fits and features are reused."""

    def stop(now: Phase) -> None:
        if now.name == "benchmark" and now.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(image_folder, tmp_path / "run", SMALL, progress=stop)
    assert not (tmp_path / "run" / "model.clipfeat").exists()
    again = train(image_folder, tmp_path / "run", SMALL)
    assert again.reused == {"features": "1 of 1 feature files", "benchmark": "2 fits"}


@pytest.mark.parametrize("is_new", [True, False])
def test_an_interrupted_call_leaves_no_results_of_an_earlier_call(
    image_folder: Path, tmp_path: Path, is_new: bool
) -> None:
    """Results of other images or another test are deleted.

    The new model is reused.
    """
    run = train(image_folder, tmp_path / "run", SMALL, test=image_folder / "real")
    old = ("summary.md", "predictions.csv", "benchmark/run.json", "audit/audit.json")
    assert all((run.folder / name).exists() for name in old)
    if is_new:
        texture(np.random.default_rng(5), smooth=False).save(image_folder / "real" / "new.png")

    def stop(now: Phase) -> None:
        if now.name == "audit":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(image_folder, run.folder, SMALL, progress=stop)
    assert not [name for name in old if (run.folder / name).exists()]
    assert train(image_folder, run.folder, SMALL).reused["model"] == "model.clipfeat"
    assert (run.folder / "summary.md").exists()


def test_another_run_in_the_folder_is_refused(run: Training, image_folder: Path) -> None:
    """The error names the option that differs. Overwriting starts from scratch."""
    other = SMALL.using(sizes=[48])
    with pytest.raises(OutputExistsError, match=r"run with sizes \[32\], got \[48\]"):
        train(image_folder, run.folder, other)
    with pytest.raises(OutputExistsError, match="recipe 'fast', got 'detect'"):
        train(image_folder, run.folder, find_recipe("detect").using(["spectrum"], [32]))
    with pytest.raises(OutputExistsError, match="seed 0, got 1"):
        train(image_folder, run.folder, SMALL, random_state=1)
    assert train(image_folder, run.folder, other, overwrite=True).features[0].path.exists()


def test_a_call_that_failed_early_does_not_block_the_folder(
    image_folder: Path, tmp_path: Path
) -> None:
    """If the encoder could not be opened, another recipe can use the folder."""
    missing = SMALL.using(["timm:resnet18.a1_in1k"])
    with pytest.raises(WeightsError):
        train(image_folder, tmp_path / "run", missing)
    assert train(image_folder, tmp_path / "run", SMALL).entry == "logreg"


def test_one_class_is_an_error_before_the_encoding(image_folder: Path, tmp_path: Path) -> None:
    """The error says how to label images, and nothing is written."""
    with pytest.raises(LabelError, match="has 0 classes"):
        train(image_folder / "real", tmp_path / "run", SMALL)
    assert not (tmp_path / "run").exists()


def test_a_small_class_is_an_error_before_the_encoding(image_folder: Path, tmp_path: Path) -> None:
    """The error does not suggest fewer folds, because their number is fixed."""
    for path in sorted((image_folder / "fake").iterdir())[3:]:
        path.unlink()
    with pytest.raises(LabelError, match="has 3 images, fewer than the 5 folds"):
        train(image_folder, tmp_path / "run", SMALL)
    assert not (tmp_path / "run").exists()


def test_a_folder_inside_the_images_is_refused(image_folder: Path, tmp_path: Path) -> None:
    """The output folder must not be in the images, because its plots would become images."""
    inside = image_folder / "run"
    with pytest.raises(UsageError, match="is inside the folder of images"):
        train(image_folder, inside, SMALL)
    with pytest.raises(UsageError, match="is inside the folder of images"):
        train([image_folder / "real", image_folder / "fake"], inside, SMALL, test=[image_folder])
    assert not inside.exists()


def test_a_folder_in_use_is_locked(image_folder: Path, tmp_path: Path) -> None:
    """Two runs cannot write the same folder."""
    with (
        locked(tmp_path / "run" / LOCK, tmp_path / "run"),
        pytest.raises(LockedError, match="is being written"),
    ):
        train(image_folder, tmp_path / "run", SMALL)


@pytest.mark.parametrize("is_table", [False, True])
def test_removed_images_are_not_trained_on(
    image_folder: Path, tmp_path: Path, is_table: bool
) -> None:
    """Removing a file or a table row removes the image, and encodes no other image again."""
    paths = sorted(image_folder.rglob("*.png"))
    table = tmp_path / "table.csv"
    source = table if is_table else image_folder

    def write() -> None:
        rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in paths]
        table.write_text("\n".join(["path,label", *rows]))

    write()
    train(source, tmp_path / "run", SMALL)
    removed = paths.pop()
    write()
    if not is_table:
        removed.unlink()
    again = train(source, tmp_path / "run", SMALL)
    assert again.model.about["images"] == 23
    assert again.features[0].progress.encoded == 0
    assert again.audit is not None
    assert again.audit.n_files == 23


def test_a_time_limit_leaves_out_slow_classifiers(image_folder: Path, tmp_path: Path) -> None:
    """If no classifier finishes, it is an error. With enough time, all finish."""
    with pytest.raises(DataError, match="time limit"):
        train(image_folder, tmp_path / "run", SMALL, time_limit=1e-6)
    assert train(image_folder, tmp_path / "run", SMALL, time_limit=600).entry == "logreg"


def test_test_images_are_scored_and_never_chosen_on(image_folder: Path, tmp_path: Path) -> None:
    """Swapped labels of the test images change only the test scores."""
    for label, smooth in (("real", True), ("fake", False)):
        (tmp_path / "new" / label).mkdir(parents=True)
        for number in range(3):
            image = texture(np.random.default_rng(number), smooth=smooth)
            image.save(tmp_path / "new" / label / f"{number}.png")
    plain = train(image_folder, tmp_path / "plain", SMALL)
    tested = train(image_folder, tmp_path / "run", SMALL, test=tmp_path / "new")
    assert tested.test is not None
    assert tested.test.scores()["accuracy"] == 0
    p = [predict(one.model, image_folder).probabilities for one in (plain, tested)]
    assert np.array_equal(*p)
    table = (tmp_path / "run" / "predictions.csv").read_text()
    assert "real/0.png" in table
    other = train(image_folder, tmp_path / "run", SMALL, test=tmp_path / "new" / "real" / "0.png")
    assert other.test is not None
    assert len(other.test.paths) == 1
    assert other.reused["model"] == "model.clipfeat"
    train(image_folder, tmp_path / "run", SMALL)
    assert not (tmp_path / "run" / "predictions.csv").exists()


def test_training_images_in_the_test_are_not_scored(image_folder: Path, tmp_path: Path) -> None:
    """Training images in the test are reported as a leak, and are not scored."""
    copies = tmp_path / "new" / "real"
    copies.mkdir(parents=True)
    rng = np.random.default_rng(7)
    for number, path in enumerate(sorted((image_folder / "real").iterdir())[:3]):
        (copies / path.name).write_bytes(path.read_bytes())
        texture(rng, smooth=False).save(copies / f"new-{number}.png")
    training = train(image_folder, tmp_path / "run", SMALL, test=tmp_path / "new")
    assert training.test is not None
    assert (training.test.n_scored, training.test.n_training) == (3, 3)
    assert training.audit is not None
    assert training.audit.has_leak
    assert "make the scores too high" in (tmp_path / "run" / "summary.md").read_text()


def test_an_official_test_set_is_left_out_and_scored(tmp_path: Path) -> None:
    """The official test set is not trained on, and is scored at the end.

    An unreadable test image has a row in the predictions.
    """
    rng = np.random.default_rng(0)
    for part, n in (("train", 6), ("test", 3)):
        for label, smooth in (("real", False), ("fake", True)):
            (tmp_path / "images" / part / label).mkdir(parents=True)
            for number in range(n):
                path = tmp_path / "images" / part / label / f"{part}-{number}.png"
                texture(rng, smooth=smooth).save(path)
    broken = tmp_path / "images" / "test" / "real" / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    training = train(tmp_path / "images", tmp_path / "run", SMALL)
    assert training.model.about["images"] == 12
    assert training.test is not None
    assert training.test.n_scored == 6
    assert list(training.test.errors) == ["test/real/broken.png"]
    assert len((tmp_path / "run" / "predictions.csv").read_text().splitlines()) == 1 + 7
    assert "not trained on" not in (tmp_path / "run" / "summary.md").read_text()


def test_each_row_of_a_test_table_has_a_prediction(image_folder: Path, tmp_path: Path) -> None:
    """A repeated row is predicted twice, in the order of the table, as in `predict`."""
    names = ["real/b.png", "fake/a.png", "real/b.png"]
    for name in set(names):
        (tmp_path / "new" / name).parent.mkdir(parents=True)
        texture(np.random.default_rng(len(name)), smooth=False).save(tmp_path / "new" / name)
    table = tmp_path / "new" / "test.csv"
    table.write_text("\n".join(["path", *names]))
    training = train(image_folder, tmp_path / "run", SMALL, test=table)
    assert training.test is not None
    assert list(training.test.paths) == names


def test_test_images_of_a_split_without_labels_are_predicted(
    image_folder: Path, tmp_path: Path
) -> None:
    """Unlabelled test rows, as in a competition's table, are predicted."""
    rows = [
        f"{path.relative_to(tmp_path)},,test" if number % 4 == 0
        else f"{path.relative_to(tmp_path)},{path.parent.name},train"
        for number, path in enumerate(sorted(image_folder.rglob("*.png")))
    ]  # fmt: skip
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,label,split", *rows]))
    training = train(table, tmp_path / "run", SMALL)
    assert training.model.about["images"] == 18
    assert training.test is not None
    assert len(training.test.paths) == 6


@pytest.mark.parametrize("vote", ["uniform", "greedy"])
def test_views_are_trained_on_and_not_scored(image_folder: Path, tmp_path: Path, vote: str) -> None:
    """Scores, weights and thresholds come from original images only."""
    recipe = Recipe(
        "views", "", "", ("spectrum",), ("logreg", "knn"), (32,), views="robust",
        threshold="accuracy", votes=(vote,),
    )  # fmt: skip
    training = train(image_folder, tmp_path / "run", recipe)
    run = training.benchmark
    assert training.model.about["images"] == 48
    assert set(run.columns["view"][run.fold >= 0].tolist()) == {"original"}
    assert (run.fold >= 0).sum() == 24
    assert training.board.rates is None
    of_vote = fit_entry(
        run, load(training.features[0].path), VOTE_TITLES[vote], options=recipe.fit_options
    )
    assert of_vote.threshold is not None
    assert 0 < of_vote.threshold < 1


def test_groups_have_rates(tmp_path: Path, image_folder: Path) -> None:
    """A few named groups have rates of their own."""
    rows = [
        f"{path.relative_to(tmp_path)},{path.parent.name},g{number % 6}"
        for number, path in enumerate(sorted(image_folder.rglob("*.png")))
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,label,group", *rows]))
    training = train(table, tmp_path / "run", SMALL)
    assert training.board.rates is not None
    values = {rate.value for rate in training.board.rates.entries[training.entry]}
    assert values == {f"g{i}" for i in range(6)}


def test_unreadable_images_are_counted(image_folder: Path, tmp_path: Path) -> None:
    """A damaged file does not end the run, and the summary gives a remedy."""
    (image_folder / "real" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    training = train(image_folder, tmp_path / "run", SMALL)
    assert training.features[0].progress.failed == 1
    assert "1 unreadable" in (tmp_path / "run" / "summary.md").read_text()


def test_another_level_of_abstention_keeps_the_features_and_the_benchmark(
    run: Training, image_folder: Path
) -> None:
    """Only the model is fitted again. The summary states the guarantee."""
    again = train(image_folder, run.folder, replace(SMALL, abstain=0.1))
    assert set(again.reused) == {"features", "benchmark"}
    model = load_model(run.folder / "model.clipfeat")
    assert model.abstention is not None
    assert model.abstention.n_images == (12, 12)
    assert "Abstains at level 0.1" in (run.folder / "summary.md").read_text()
    with pytest.raises(DataError, match="need 19 images of each class, but class 'fake' has 12"):
        train(image_folder, run.folder, replace(SMALL, abstain=0.05))
    with pytest.raises(UsageError, match="abstain must be above 0"):
        train(image_folder, run.folder, replace(SMALL, abstain=0.0))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "deep"])
def test_records_of_a_folder_are_read_like_hostile_files(
    kind: str, run: Training, image_folder: Path
) -> None:
    """Pipes and deeply nested JSON are ignored, and reading does not hang."""

    def replace_record(path: Path) -> None:
        path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.write_text("[" * 100_000)

    assert _finished_model(run.folder, {"clipfeat": ""}) is None
    replace_record(run.folder / "train.json")
    assert _finished_model(run.folder, {"clipfeat": ""}) is None
    replace_record(run.folder / "command.json")
    with pytest.raises(OutputExistsError, match="was not written by the same command"):
        train(image_folder, run.folder, SMALL)
