"""Tests of the official split of a data set."""

from dataclasses import replace

import numpy as np
import pytest

from clipfeat.errors import ClipfeatWarning, LabelError, UsageError
from clipfeat.evaluate import Benchmark, KFold, OfficialSplit, benchmark
from clipfeat.evaluate.fitting import fit
from clipfeat.evaluate.official_split import default_protocol
from clipfeat.evaluate.thresholds import choose_threshold
from clipfeat.features import FeatureSet
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


def with_split(n: int = 20) -> FeatureSet:
    """Return images with an official split: half train, a quarter val and a quarter test."""
    data = make_features(n)
    parts = np.array(["train", "Validation", "train", "test"])[np.arange(2 * n) % 4]
    return replace(data, columns={"split": parts})


@pytest.mark.parametrize("use_validation", [False, True])
def test_official_split_is_followed(use_validation: bool) -> None:
    """Training rows are those marked train, and on request also the validation rows."""
    data = with_split()
    plan = OfficialSplit(train_on_validation=use_validation, repeats=2).plan(data, random_state=3)
    assert [trial.seed for trial in plan.trials] == [3, 4]
    split = plan.features.column("split")
    train, test = plan.trials[0].splits["test"]
    assert set(split[train]) == ({"train", "Validation"} if use_validation else {"train"})
    assert set(split[test]) == {"test"}
    assert len(test) == 10
    run = benchmark(data, "logreg", protocol=OfficialSplit())
    name = "official split in column split (fit on train, choose on val, report test)"
    assert run.about["protocol"] == name
    assert np.isnan(run.probabilities["logreg"]).all(axis=1).sum() == 30


def test_official_split_is_the_default() -> None:
    """A benchmark tests the test images and a fit leaves them out, unless options say otherwise."""
    data = with_split()
    run = benchmark(data, "dummy")
    assert run.about["protocol"].startswith("official split in column split")
    tested = run.columns["split"][run.fold >= 0]
    assert (set(tested), len(tested)) == ({"test"}, 10)
    assert benchmark(data, "dummy", protocol=5).about["protocol"] == "5-fold"
    model = fit(data, "dummy", cv=2)
    assert (model.about["images"], model.about["test_images_left_out"]) == (30, 10)
    model = fit(data, "dummy", cv=2, split=None)
    assert model.about["images"] == 40
    assert "test_images_left_out" not in model.about


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        (["train", "extra"], None),
        (["train", "test", "", "test"], "because 10 images are in none of its parts"),
        (["train"] * 20 + ["test"] * 20, "because its train images are of one class"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_incomplete_official_split_is_not_the_default(parts: list[str], match: str | None) -> None:
    """Folds replace an incomplete split, with a warning if it has train and test images."""
    data = replace(make_features(), columns={"split": np.resize(parts, 40)})
    if match is None:
        assert default_protocol(data) == KFold()
    else:
        with pytest.warns(ClipfeatWarning, match=match):
            assert default_protocol(data, 2) == KFold(repeats=2)
        with pytest.warns(ClipfeatWarning, match=match):
            assert fit(data, "dummy", cv=2).about["images"] == 40


def test_official_split_drops_training_copies_of_test_images() -> None:
    """A training image that is also a test image is dropped, with a warning."""
    data = with_split()
    keys = data.keys.copy()
    keys[0] = keys[3]
    with pytest.warns(ClipfeatWarning, match="1 training images are also in the test"):
        plan = OfficialSplit().plan(replace(data, keys=keys))
    assert "0" not in plan.features.paths[plan.trials[0].splits["test"][0]]
    assert len(plan.trials[0].splits["test"][0]) == 19


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        (["train", ""], "must be train, val or test for every image, got 20 ''"),
        (["train", "extra"], "got 20 'extra'"),
        (["train", "tr"], r"has no test images \(40 train\)"),
        (["test", "val"], "has no train images"),
    ],
)
def test_incomplete_official_split_is_an_error(parts: list[str], match: str) -> None:
    """A requested split with missing or unknown values, or without a part, is an error."""
    data = replace(make_features(), columns={"split": np.array(parts)[np.arange(40) % 2]})
    with pytest.raises(UsageError, match=match):
        OfficialSplit().plan(data)


def with_labels_flipped(data: FeatureSet, part: str) -> FeatureSet:
    return replace(data, y=np.where(data.columns["split"] == part, 1 - data.y, data.y))


def choices(run: Benchmark) -> tuple[object, ...]:
    board = run.leaderboard()
    over = {gain.over for gain in board.gains}
    return board.entries, run.about["votes"], dict(run.thresholds), over, run.about["validation"]


def test_choices_depend_on_val_and_not_on_test() -> None:
    """Only val labels change thresholds, learned votes, the order and the best entry."""
    data = make_features(60, apart=1.5)
    parts = np.array(["train", "val", "train", "test"])[np.arange(120) % 4]
    data = replace(data, columns={"split": parts})
    options = FitOptions(threshold="accuracy")

    def run(data: FeatureSet) -> Benchmark:
        return benchmark(data, "logreg,knn,dummy", vote="all", options=options)

    whole = run(data)
    assert choices(run(with_labels_flipped(data, "test"))) == choices(whole)
    assert choices(run(with_labels_flipped(data, "val"))) != choices(whole)
    board = whole.leaderboard()
    assert set(board.validation) == set(board.entries) == set(whole.entries)
    on_val = [board.validation[e]["balanced_accuracy"] for e in board.entries]
    assert on_val == sorted(on_val, reverse=True)
    assert board.rank(board.entries[0]) in ("1", "1=")
    assert "ordered by balanced acc. on the validation images" in " ".join(board.notes)
    assert board.columns["on_validation"] == "balanced acc. on val"


def test_a_threshold_is_that_of_the_val_images_of_the_fitted_model() -> None:
    """The model is fitted on train, and val gives the threshold."""
    data = make_features(60, apart=1.5)
    parts = np.array(["train", "val", "train", "test"])[np.arange(120) % 4]
    run = benchmark(
        replace(data, columns={"split": parts}), "logreg", options=FitOptions(threshold="accuracy")
    )
    model = fit(data.take(parts == "train"), "logreg", cv=0)
    val = data.take(parts == "val")
    expected = choose_threshold(val.y, model.predict_proba(val)[:, 1], metric="accuracy")
    assert run.thresholds["logreg"] == pytest.approx([expected], abs=1e-5)


@pytest.mark.parametrize("names", [("Training", "dev", "EVAL"), ("tr", "valid", "testing")])
def test_spellings_of_the_parts(names: tuple[str, ...]) -> None:
    """The different spellings of data sets, such as validation, are recognised."""
    parts = np.array(names)[np.arange(40) % 3]
    plan = OfficialSplit().plan(replace(make_features(), columns={"split": parts}))
    (trial,) = plan.trials
    train, test = trial.splits["test"]
    assert trial.validation is not None
    assert (len(train), len(trial.validation), len(test)) == (14, 13, 13)


def test_val_is_the_test_of_a_data_set_without_one() -> None:
    """Without test images, val is tested, nothing is chosen on it, and reports state this."""
    parts = np.array(["train", "val"])[np.arange(40) % 2]
    data = replace(make_features(), columns={"split": parts})
    run = benchmark(data, "logreg", options=FitOptions(threshold="accuracy"))
    assert run.about["protocol"] == "official split in column split (fit on train, report val)"
    assert set(run.columns["split"][run.fold >= 0]) == {"val"}
    assert run.about["validation"] is None
    assert "has no test images" in run.about["caveats"][0]
    assert fit(data, "dummy", cv=2).about["images"] == 40
    with pytest.raises(UsageError, match="val images are tested and cannot be trained on"):
        OfficialSplit(train_on_validation=True).plan(data)


def test_val_of_one_class_is_not_used() -> None:
    """If val has one class, thresholds are chosen on the training images."""
    data = make_features()
    parts = np.where(np.arange(40) % 4 == 0, "test", "train").astype("<U5")
    parts[(data.y == 0) & (np.arange(40) % 4 == 1)] = "val"
    run = benchmark(replace(data, columns={"split": parts}), "logreg")
    assert run.about["validation"] is None
    assert "5 val images are of one class" in run.about["caveats"][0]
    assert run.about["images"] == 35


def test_a_class_without_training_images_is_an_error() -> None:
    """A test class without training images is an error."""
    data = make_features(classes=("a", "b", "c"))
    parts = np.where((data.y == 2) | (np.arange(60) % 2 == 0), "test", "train")
    with pytest.raises(LabelError, match=r"The test images also have c\."):
        OfficialSplit().plan(replace(data, columns={"split": parts}))
