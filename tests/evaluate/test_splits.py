"""Tests that splits do not divide groups."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.errors import ClipfeatWarning, LabelError, UsageError
from clipfeat.evaluate import LeaveOneOut, Matrix, Protocol, benchmark
from clipfeat.evaluate.splits import cross_validation, leave_one_out, shared_rows
from clipfeat.features import FeatureSet
from clipfeat.zoo.folds import k_fold
from tests.conftest import make_features


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11)), min_size=30, max_size=80),
    st.integers(2, 4),
    st.booleans(),
)
def test_folds_keep_groups_whole(
    pairs: list[tuple[int, int]], n_splits: int, grouped: bool
) -> None:
    """Every row is tested once. Training and test share no row or group."""
    y = np.array([label for label, _ in pairs])
    groups = np.array([group for _, group in pairs]) if grouped else None
    try:
        splits = k_fold(y, groups, n_splits, 0)
    except LabelError:
        units = np.arange(len(y)) if groups is None else groups
        assert min(len(np.unique(units[y == c])) for c in np.unique(y)) < n_splits
        return
    assert sorted(np.concatenate([test for _, test in splits]).tolist()) == list(range(len(y)))
    for train, test in splits:
        assert not set(train.tolist()) & set(test.tolist())
        if groups is not None:
            assert not set(groups[train].tolist()) & set(groups[test].tolist())


def with_generators(*, crossed: bool) -> FeatureSet:
    """Return 20 real images and 20 of four generators. If `crossed`, each group has all four."""
    features = make_features(20)
    generators = np.array(["" if y == 0 else f"gen{i % 4}" for i, y in enumerate(features.y)])
    number = np.arange(40) % 20
    groups = [f"photo{n // 4}" if crossed else f"{g}-{n // 2}" for g, n in zip(generators, number)]  # noqa: B905
    return replace(features, groups=np.array(groups), columns={"generator": generators})


@pytest.mark.parametrize("crossed", [False, True])
def test_held_out_generator_is_not_trained_on(crossed: bool) -> None:
    """Training excludes the generator and the test's groups. Each test has both classes."""
    features = with_generators(crossed=crossed)
    splits = leave_one_out(features, "generator", 0)
    assert sorted(splits) == ["gen0", "gen1", "gen2", "gen3"]
    groups = features.split_groups
    assert groups is not None
    for held, (train, test) in splits.items():
        tested = set(features.column("generator")[test].tolist())
        assert tested == {"", held}
        assert held not in features.column("generator")[train]
        assert not set(groups[train].tolist()) & set(groups[test].tolist())
        assert set(features.y[train].tolist()) == {0, 1}


def test_uncrossed_generators_are_tested_whole() -> None:
    """If no group has several generators, each image is tested exactly once."""
    features = with_generators(crossed=False)
    tests = [test for _, test in leave_one_out(features, "generator", 0).values()]
    assert sorted(np.concatenate(tests).tolist()) == list(range(40))


def test_a_class_with_one_value_is_shared() -> None:
    """A real class whose single value is 'photo' is shared among the tests."""
    features = with_generators(crossed=False)
    named = np.where(features.y == 0, "photo", features.columns["generator"])
    splits = leave_one_out(replace(features, columns={"generator": named}), "generator", 0)
    assert sorted(splits) == ["gen0", "gen1", "gen2", "gen3"]


def with_sources() -> FeatureSet:
    """Return noise: photographs of two sources and images of four generators, in one column."""
    features = make_features(80, apart=0)
    number = np.arange(160) % 80
    sources = np.array(["coco", "imagenet"])[number % 2]
    generators = np.array([f"gen{i}" for i in number % 4])
    column = np.where(features.y == 0, sources, generators)
    return replace(features, columns={"generator": column})


def test_sources_of_photographs_are_shared() -> None:
    """Sources of the negative class are not held out. Every test has both classes."""
    features = with_sources()
    splits = leave_one_out(features, "generator", 0)
    assert sorted(splits) == ["gen0", "gen1", "gen2", "gen3"]
    for _, test in splits.values():
        assert np.bincount(features.y[test]).tolist() == [20, 20]
    chosen = leave_one_out(features.with_positive("real"), "generator", 0)
    assert list(chosen) == list(splits)
    assert [t.trained_on for t in Matrix("generator").plan(features).trials] == sorted(splits)


def test_values_of_both_classes_are_held_out_with_both() -> None:
    """A value's own photographs are held out with it. Photographs of no value are in all splits."""
    features = with_sources()
    column = features.columns["generator"].copy()
    column[:20] = np.repeat(["gen0", "gen1"], 10)
    mixed = replace(features, columns={"generator": column})
    shared = shared_rows(mixed, "generator")
    assert np.flatnonzero(shared).tolist() == list(range(20, 80))
    for held, (train, test) in leave_one_out(mixed, "generator", 0).items():
        assert held not in column[train]
        assert set(np.flatnonzero(column == held)) <= set(test.tolist())


def three_classes(names: tuple[str, str, str]) -> FeatureSet:
    """Return three classes with two values each, none of which occurs in two classes."""
    features = make_features(20, names)
    column = np.array([f"{name}{i % 2}" for i, name in enumerate(features.labels.tolist())])
    return replace(features, columns={"generator": column})


def test_of_three_classes_only_photographs_are_shared() -> None:
    """Each test has photographs and one generator. Unknown names give one-class tests."""
    features = three_classes(("gan", "real", "diffusion"))
    splits = leave_one_out(features, "generator", 0)
    assert sorted(splits) == ["diffusion0", "diffusion1", "gan0", "gan1"]
    for held, (_, test) in splits.items():
        assert set(features.labels[test].tolist()) == {"real", held[:-1]}
    unknown = three_classes(("a", "b", "c"))
    assert not shared_rows(unknown, "generator").any()
    with pytest.warns(ClipfeatWarning, match=r"for 6 values of column 'generator'"):
        LeaveOneOut("generator").plan(unknown)


@pytest.mark.parametrize("protocol", [LeaveOneOut("generator"), Matrix("generator")], ids=str)
def test_noise_has_balanced_accuracy_of_one_half(protocol: Protocol) -> None:
    """The dummy classifier scores exactly 0.5, another within three standard errors."""
    board = benchmark(with_sources(), "dummy,logreg", protocol=protocol).leaderboard()
    assert board.mean["dummy"]["balanced_accuracy"] == 0.5
    assert abs(board.mean["logreg"]["balanced_accuracy"] - 0.5) < 3 * np.sqrt(0.25 / 160)


def test_a_test_of_one_class_has_only_a_recall() -> None:
    """Accuracies of a one-class test are NaN, and means use the other tests."""
    features = with_sources()
    column = np.array(["a", "b"])[np.arange(160) % 2]
    column[140:] = "c"  # generated images only, and no photographs are shared
    features = replace(features, columns={"generator": column})
    with pytest.warns(ClipfeatWarning, match=r"for 1 values of column 'generator' \(c\), all test"):
        run = benchmark(features, "dummy", protocol=LeaveOneOut("generator"))
    table = run.to_pandas().pivot(index="fold", columns="metric", values="value")
    assert table.loc["c", ["accuracy", "balanced_accuracy", "log_loss"]].isna().all()
    assert not np.isnan(table.loc["c", "recall/fake"])
    assert run.leaderboard().mean["dummy"]["balanced_accuracy"] == 0.5
    assert run.leaderboard().standings["dummy"].value == 0.5


def test_too_little_to_split_is_an_error() -> None:
    """A class with fewer images than folds, and a column of one value, are errors."""
    small = make_features(3)
    with pytest.raises(LabelError, match="class 'fake' has 3 images, fewer than the 5 folds"):
        cross_validation(small, 5, 0)
    with pytest.raises(UsageError, match="has all images of one of the classes"):
        leave_one_out(replace(small, columns={"g": np.array(["x"] * 6)}), "g", 0)


def test_a_class_with_the_name_of_a_generator_is_shared() -> None:
    """Real rows whose value is a generator's name are not held out with it."""
    features = with_generators(crossed=False)
    tagged = np.where(features.y == 0, "gen0", features.columns["generator"])
    for train, test in leave_one_out(
        replace(features, columns={"generator": tagged}), "generator", 0
    ).values():
        assert set(features.y[train].tolist()) == set(features.y[test].tolist()) == {0, 1}


def test_too_few_groups_are_an_error() -> None:
    """Fewer groups than held-out values are an error, because a test would be empty."""
    features = with_generators(crossed=True)
    two = replace(features, groups=np.array(["a"] * 4 + ["b"] * 36)[np.arange(40) % 20])
    with pytest.raises(LabelError, match="Use smaller groups"):
        leave_one_out(two, "generator", 0)
