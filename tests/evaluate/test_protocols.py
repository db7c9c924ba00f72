"""Tests of the evaluation protocols."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from clipfeat.errors import ClipfeatWarning, DataError, FingerprintError, LabelError, UsageError
from clipfeat.evaluate import (
    FewShot,
    KFold,
    LeaveOneOut,
    Matrix,
    OfficialSplit,
    Protocol,
    TrainTest,
    benchmark,
)
from clipfeat.evaluate.fitting import fit
from clipfeat.evaluate.plan import Plan
from clipfeat.evaluate.tidy_rows import COSTS
from clipfeat.features import TEST, FeatureSet, stack
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features, make_spec


def generators(n: int = 60) -> FeatureSet:
    """Return photographs and images of three generators, in groups with both classes."""
    data = make_features(n)
    number = np.arange(2 * n) % n
    made = np.array(["a", "b", "c"])[number % 3]
    column = np.where(data.y == 0, "photo", made)
    return replace(
        data, columns={"generator": column}, groups=(number // 6 * 3 + number % 3).astype(str)
    )


def stack_views(features: FeatureSet, views: Sequence[str]) -> FeatureSet:
    """Repeat the rows of a feature set, as if they were views."""
    n, n_views = len(features), len(views)
    rows = features.take(np.tile(np.arange(n), n_views))
    names = np.repeat(np.array(views), n)
    return replace(
        rows,
        keys=np.array([f"{i:032x}".encode() for i in range(n * n_views)]),
        columns={"file": features.paths[np.tile(np.arange(n), n_views)], "view": names},
    )


@pytest.mark.parametrize(
    "protocol",
    [KFold(3), KFold(3, repeats=2), LeaveOneOut("generator"), Matrix("generator", 3),
     FewShot([2, 10], n_splits=3)],
    ids=str,
)  # fmt: skip
def test_no_trial_splits_a_group_or_tests_a_row_twice(protocol: Protocol) -> None:
    """In a trial, training and test share no group, and no row is tested twice."""
    data = generators()
    assert data.groups is not None
    for trial in protocol.plan(data).trials:
        tested = np.concatenate([test for _, test in trial.splits.values()])
        assert len(tested) == len(np.unique(tested))
        for train, test in trial.splits.values():
            assert not set(data.groups[train]) & set(data.groups[test])
            assert len(np.unique(data.y[train])) == 2


PROTOCOLS = [
    KFold(3), KFold(3, repeats=2), LeaveOneOut("generator"), Matrix("generator", 3),
    FewShot([2, 10], n_splits=3), OfficialSplit(),
]  # fmt: skip


def with_parts(data: FeatureSet) -> FeatureSet:
    """Return the features with an official split that does not divide groups."""
    assert data.groups is not None
    parts = np.where(data.groups.astype(int) % 3 == 0, "test", "train")
    return replace(data, columns={**data.columns, "split": parts})


def split_paths(plan: Plan) -> list[list[tuple[list[str], list[str]]]]:
    """Return the paths of the training and test rows of every split, in order."""
    paths = plan.features.paths
    return [
        [(paths[train].tolist(), paths[test].tolist()) for train, test in trial.splits.values()]
        for trial in plan.trials
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
@pytest.mark.parametrize("grouped", [False, True])
def test_splits_do_not_depend_on_the_order_of_rows(protocol: Protocol, grouped: bool) -> None:
    """Shuffled rows give the same training and test rows, in the same order."""
    data = with_parts(generators())
    data = data if grouped else data.ungrouped()
    for seed in range(3):
        shuffled = data.take(np.random.default_rng(seed).permutation(len(data)))
        assert split_paths(protocol.plan(shuffled)) == split_paths(protocol.plan(data))


def test_scores_do_not_depend_on_the_order_of_rows() -> None:
    """Images embedded in another order give the same scores, intervals and model."""
    data = generators(30)
    shuffled = data.take(np.random.default_rng(0).permutation(len(data)))
    options = FitOptions(bag=2, threshold="accuracy")
    runs = [benchmark(one, "svm,rf", protocol=3, options=options) for one in (data, shuffled)]
    boards = [run.leaderboard() for run in runs]
    scores = [
        {e: {m: v for m, v in of.items() if m not in COSTS} for e, of in board.mean.items()}
        for board in boards
    ]
    assert repr(scores[0]) == repr(scores[1])  # NaN equals NaN
    assert boards[0].standings == boards[1].standings
    models = [fit(one, "svm", cv=3) for one in (data, shuffled)]
    p = [model.predict_proba(data) for model in models]
    assert np.array_equal(p[0], p[1])


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.filterwarnings("ignore:.*also in the test")
def test_identical_images_share_a_fold(protocol: Protocol, grouped: bool) -> None:
    """No copy of a test image is a training image, even if its group differs."""
    data = with_parts(generators())
    copies = data.take(np.arange(0, len(data), 3))
    assert data.groups is not None
    assert copies.groups is not None
    twice = data.take(np.r_[np.arange(len(data)), np.arange(0, len(data), 3)])
    paths = np.r_[data.paths, np.char.add("copies/", copies.paths)]
    # Some copies are in another group, so that the groups of both become one.
    groups = np.r_[data.groups, np.where(np.arange(len(copies)) < 3, "30", copies.groups)]
    twice = replace(twice, paths=paths, groups=groups if grouped else None)
    plan = protocol.plan(twice)
    keys = plan.features.keys
    for trial in plan.trials:
        for train, test in trial.splits.values():
            assert not set(keys[train].tolist()) & set(keys[test].tolist())


def test_the_matrix_trains_on_one_value_and_tests_on_all() -> None:
    """Training and each test subset contain one generator and shared photographs."""
    data = generators()
    made = data.column("generator")
    plan = Matrix("generator", 3).plan(data)
    assert [trial.trained_on for trial in plan.trials] == ["a", "b", "c"]
    for trial in plan.trials:
        for train, test in trial.splits.values():
            assert set(made[train]) == {trial.trained_on, "photo"}
            assert set(made[test]) == {"a", "b", "c", "photo"}
        for value, among in trial.tested_on.items():
            assert set(made[among]) == {value, "photo"}
    first = [t.splits["0"][1].tolist() for t in plan.trials]
    assert first[0] == first[1] == first[2]


def test_smaller_draws_are_part_of_larger_ones() -> None:
    """In one repetition, smaller training sets are subsets of larger ones.

    All sizes of a repetition have the same test rows. The next repetition uses the next fold.
    """
    data = make_features(40)
    trials = FewShot([3, 10], repeats=2, n_splits=4).plan(data).trials
    assert [(t.n_train, t.seed) for t in trials] == [(3, 0), (3, 1), (10, 0), (10, 1)]
    small, other, large, _ = (next(iter(t.splits.values())) for t in trials)
    assert set(small[0]) < set(large[0])
    assert np.bincount(data.y[small[0]]).tolist() == [3, 3]
    assert np.array_equal(small[1], large[1])
    assert not set(small[1]) & set(other[1])


def test_sizes_beyond_the_smallest_class_are_left_out() -> None:
    """A size that is too large is a warning, or an error if no size remains."""
    data = make_features(20)
    with pytest.warns(ClipfeatWarning, match="sizes 100 are left out"):
        assert {t.n_train for t in FewShot([5, 100]).plan(data).trials} == {5}
    with pytest.raises(LabelError, match="has 16 training images"):
        FewShot([100]).plan(data)


def test_a_separate_test_set_is_tested_whole() -> None:
    """All test rows are tested, and training rows exclude images of the test set."""
    train, test = make_features(30), make_features(10, seed=3)
    test = replace(test, keys=np.array([f"{i + 55:032x}".encode() for i in range(20)]))
    with pytest.warns(ClipfeatWarning, match="5 training images are also in the test"):
        both, n = stack(train, test)
    assert (n, len(both)) == (55, 75)
    assert not set(both.keys[:n]) & set(both.keys[n:])
    assert len(set(both.paths)) == 75
    with pytest.warns(ClipfeatWarning, match="5 training images"):
        rows, tested = TrainTest(test).plan(train).trials[0].splits["test"]
    assert (rows.max(), tested.min()) == (n - 1, n)
    with pytest.warns(ClipfeatWarning, match="5 training images"):
        run = benchmark(train, "logreg", protocol=TrainTest(test))
    assert np.isnan(run.probabilities["logreg"][:n]).all()
    assert not np.isnan(run.probabilities["logreg"][n:]).any()


def test_groups_of_the_test_set_are_left_out_of_training() -> None:
    """A warning counts dropped groups and images. Losing a whole class is an error."""
    train, other = make_features(10, groups=True), make_features(10, groups=True, seed=1)
    assert train.groups is not None
    test = replace(
        other,
        keys=np.array([f"{i + 99:032x}".encode() for i in range(20)]),
        groups=np.where(np.arange(20) < 2, train.groups, "other"),
    )
    with pytest.warns(ClipfeatWarning, match=r"2 groups are in both .* Their 4 training images"):
        plan = TrainTest(test).plan(train)
    rows, _ = plan.trials[0].splits["test"]
    assert plan.features.groups is not None
    assert sorted(set(plan.features.groups[rows])) == [f"g{i}" for i in range(2, 10)]
    with pytest.raises(LabelError, match=r"10 groups are in both .* or pass --group-col none"):
        TrainTest(replace(test, groups=train.groups)).plan(train)
    assert len(TrainTest(replace(test, groups=train.groups)).plan(train.ungrouped()).features) == 40


def test_views_of_test_images_are_not_trained_on() -> None:
    """Views of test images are not trained on, and columns of both sets are kept."""
    train, test = make_features(20), make_features(5)
    views = replace(
        train,
        keys=np.char.replace(train.keys, b"0000", b"f00d"),
        paths=np.char.add(train.paths, "#hflip"),
        columns={"file": train.paths},
    )
    rows = np.r_[np.arange(40), np.arange(40)]
    seen = replace(
        train.take(rows),
        paths=np.concatenate([train.paths, views.paths]),
        keys=np.concatenate([train.keys, views.keys]),
        columns={"file": np.concatenate([train.paths, train.paths])},
    )
    shown = test.take(np.array([0, 1, 5]))
    shown = replace(shown, keys=train.keys[[0, 1, 20]], columns={"fps": np.array(["1", "2", "3"])})
    with pytest.warns(ClipfeatWarning, match="3 training images are also in the test"):
        both, n = stack(seen, shown)
    assert n == 80 - 6
    assert both.columns["file"][n:].tolist() == ["", "", ""]


def test_equal_file_names_in_both_sets_are_distinguished() -> None:
    """Videos with the same name in both sets remain two files."""
    train, test = make_features(4), make_features(1, seed=3)
    test = replace(test, keys=np.array([b"a" * 32, b"b" * 32]), y=np.array([0, 0]))
    frames = {"file": np.array(["real/0000.png", "real/0000.png"])}
    test = replace(test, paths=np.array(["real/0000.png#0", "real/0000.png#1"]), columns=frames)
    both, n = stack(train, test)
    assert both.files[n:].tolist() == [f"{TEST}real/0000.png"] * 2
    assert both.paths[n:].tolist() == [f"{TEST}real/0000.png#{i}" for i in range(2)]


def test_arrays_have_no_images_in_common() -> None:
    """Rows of arrays are never matched. Sets with different numbers of features are an error."""
    train, test = make_features(15), make_features(5, seed=1)
    sides = [FeatureSet.from_arrays(one.X, one.labels.tolist()) for one in (train, test)]
    assert stack(*sides)[1] == 30
    with pytest.raises(DataError, match="3 features, but the training set has 6"):
        stack(sides[0], FeatureSet.from_arrays(test.X[:, :3], test.labels.tolist()))


def test_few_shot_sizes_count_files() -> None:
    """A size of ten is ten files with all their rows. A size that one draw lacks is left out."""
    data = make_features(25)
    twice = data.take(np.repeat(np.arange(50), 2))
    twice = replace(twice, paths=np.arange(100).astype(str),
                    columns={"file": np.repeat(data.paths, 2)})  # fmt: skip
    with pytest.warns(ClipfeatWarning, match="sizes 24 are left out"):
        trials = FewShot([10, 20, 24]).plan(twice).trials
    assert [(t.n_train, len(next(iter(t.splits.values()))[0])) for t in trials] == [
        *[(10, 40)] * 5, *[(20, 80)] * 5,
    ]  # fmt: skip


def test_a_test_of_other_features_or_classes_is_refused() -> None:
    """Another encoder, a class not in training, and missing test labels are errors."""
    train = make_features(30)
    other = replace(make_features(5), keys=np.array([f"{i + 99:032x}".encode() for i in range(10)]))
    with pytest.raises(FingerprintError):
        stack(train, replace(other, specs=(make_spec("other"),)))
    with pytest.raises(LabelError, match="classes cats, which none"):
        stack(train, replace(other, classes=("real", "cats")))
    with pytest.raises(LabelError, match="has a label"):
        stack(train, replace(other, y=np.full(10, -1)))


@pytest.mark.parametrize(
    ("protocol", "match"),
    [
        (KFold(repeats=0), "repeats must be 1 or more, got 0"),
        (KFold(1), "folds"),
        (FewShot([0]), r"1 or more, got \[0\]"),
        (FewShot([]), r"1 or more, got \[\]"),
        (Matrix("lone"), "'lone' has 0. A value does not count if all its images"),
    ],
    ids=str,
)
def test_invalid_protocols_are_usage_errors(protocol: Protocol, match: str) -> None:
    """Invalid numbers of folds, repeats or images, and columns of one value, are errors."""
    data = generators()
    data = replace(data, columns={**data.columns, "lone": np.full(len(data), "x")})
    with pytest.raises(UsageError, match=match):
        protocol.plan(data)


def test_a_value_of_one_class_cannot_be_trained_on() -> None:
    """In a matrix, a generator without images of the other class is an error."""
    data = make_features(12)
    column = np.where(data.y == 0, np.array(["a", "b"])[np.arange(24) % 2], "c")
    column[-1] = "d"
    with pytest.raises(LabelError, match="fewer than the 2 folds"):
        Matrix("g", 2).plan(replace(data, columns={"g": column}))


def test_repeats_use_different_seeds() -> None:
    """Two repetitions have different folds, and the tidy rows contain their seeds."""
    plan = KFold(4, repeats=2).plan(make_features(), random_state=7)
    assert plan.name == "4-fold, 2 seeds"
    first, second = (trial.splits["0"][1].tolist() for trial in plan.trials)
    assert first != second
    run = benchmark(make_features(), "logreg", protocol=KFold(4, repeats=2), random_state=7)
    assert set(run.to_pandas().seed) == {7, 8}


def test_protocol_is_a_number_of_folds_or_an_object(features: FeatureSet) -> None:
    """Any other value is a usage error that names both."""
    assert benchmark(features, "dummy", protocol=3).about["protocol"] == "3-fold"
    with pytest.raises(UsageError, match="a number of folds or a protocol object, got 'generator'"):
        benchmark(features, "dummy", protocol="generator")  # type: ignore[arg-type]


def test_plan_leaves_out_unlabelled_rows(features: FeatureSet) -> None:
    """A plan made without a benchmark splits the labelled rows."""
    y = np.where(np.arange(40) % 4 == 0, -1, features.y)
    assert len(KFold(3).plan(replace(features, y=y)).features) == 30


@pytest.mark.parametrize(
    ("protocol", "balance"),
    [(LeaveOneOut("generator"), "prior"), (Matrix("generator", 3), "prior"), (KFold(3), "none")],
    ids=str,
)
def test_the_default_balance_depends_on_the_protocol(protocol: Protocol, balance: str) -> None:
    """The default balance can be changed, and the run records the resolved value."""
    data = generators()
    few = data.take(np.flatnonzero((data.y == 0) | (np.arange(len(data)) % 4 == 0)))
    runs = {
        name: benchmark(few, "logreg", protocol=protocol, options=options)
        for name, options in {
            "default": FitOptions(),
            "none": FitOptions(balance="none"),
            "prior": FitOptions(balance="prior"),
        }.items()
    }
    rows = {name: [row["value"] for row in run.rows if row["metric"] not in COSTS]
            for name, run in runs.items()}  # fmt: skip
    assert np.array_equal(rows["default"], rows[balance], equal_nan=True)
    assert not np.array_equal(rows["none"], rows["prior"], equal_nan=True)
    assert runs["default"].about["balance"] == (balance != "none" and balance)
    assert runs["default"].about["balanced_by_default"] == (balance != "none")
    assert not runs["prior"].about["balanced_by_default"]


def test_the_default_balance_restores_unequal_classes() -> None:
    """With 20 generated images and 150 photographs, balance keeps the recall of both."""
    data = make_features(200, apart=2.0)
    made = np.array(["a", "b", "c"])[np.arange(400) % 3]
    data = replace(data, columns={"generator": np.where(data.y == 0, "", made)})
    few = data.take(np.flatnonzero((data.y == 0) | (np.arange(400) % 10 == 0)))
    scores = [
        benchmark(few, "logreg", protocol=Matrix("generator", 3), options=options)
        .leaderboard()
        .mean["logreg"]["balanced_accuracy"]
        for options in (FitOptions(balance="none"), FitOptions())
    ]
    assert scores[1] > scores[0] + 0.1


def test_only_one_view_is_tested() -> None:
    """Every view is trained on, but each image is tested by one view only."""
    plain = make_features(10)
    views = stack_views(plain, ("original", "robust"))
    plan = KFold(5, tested_view="original").plan(views)
    splits = plan.trials[0].splits.values()
    tested = np.concatenate([test for _, test in splits])
    assert set(plan.features.columns["view"][tested].tolist()) == {"original"}
    assert len(np.unique(tested)) == len(plain)
    for train, test in splits:
        assert len(train) == 32
        assert not set(plan.features.files[train]) & set(plan.features.files[test])
    assert plan.name.endswith("tested on the view original")
