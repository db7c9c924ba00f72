"""Tests of prediction sets, and of how model files store their calibration."""

from collections.abc import Callable
from dataclasses import replace
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.errors import ClipfeatWarning, DataError, RefusedFileError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.model import Model, load_model
from clipfeat.model.abstention import Abstention, check_images, images_needed
from clipfeat.model.container import read_container, write_container
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8, 1.0]), min_size=1, max_size=60),
    st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.95]),
)
def test_the_smallest_probability_is_an_order_statistic(p: list[float], level: float) -> None:
    """A class is in the set from the k-th lowest calibration value, k = level (n + 1)."""
    n = len(p)
    if n < images_needed(level):
        return
    calibration = np.sort(np.array(p * 2))
    abstention = Abstention(level, calibration, (2 * n,), (2 * n,))
    rank = floor(level * (2 * n + 1) + 1e-9)
    assert abstention.smallest.tolist() == [calibration[rank - 1]]


def test_the_share_of_missed_images_is_exact() -> None:
    """Over many draws of 19 images, the mean missed share is 1 / 20."""
    rng = np.random.default_rng(0)
    missed = [
        # The probability of the true class is uniform, so the share below a value is this value.
        Abstention(0.05, np.sort(rng.random(19)), (19,), (19,)).smallest[0]
        for _ in range(300)
    ]
    # The standard deviation of the lowest of 19 uniform values is sqrt(19 / (20^2 * 21)).
    assert np.mean(missed) == pytest.approx(1 / 20, abs=3.3 * np.sqrt(19 / (400 * 21) / 300))


def test_groups_lower_the_share() -> None:
    """Copies of an image count once. With too few groups, images count, with a warning."""
    values = np.sort(np.random.default_rng(1).random(45))
    copies = np.repeat(values, 10)
    independent = Abstention(0.05, values, (45,), (45,))
    assert Abstention(0.05, copies, (450,), (45,)).smallest == independent.smallest
    assert Abstention(0.05, copies, (450,), (450,)).smallest > independent.smallest
    few = Abstention(0.05, copies, (450,), (18,))
    assert few.smallest == Abstention(0.05, copies, (450,), (450,)).smallest
    with pytest.warns(ClipfeatWarning, match="needs 19 independent groups .* 'real' has 18"):
        few.warn_of_few_groups(("real",))


def test_too_few_images_are_refused() -> None:
    """The error states a level that is possible."""
    with pytest.raises(DataError, match=r"need 19 images .* 'b' has 9\. .* --abstain 0\.1 or more"):
        check_images(0.05, {"a": 30, "b": 9})
    check_images(0.1, {"b": 9})
    with pytest.raises(DataError, match=r"need 38 .* half of them to calibrate mlp"):
        check_images(0.05, {"a": 30, "b": 37}, "mlp")
    with pytest.raises(DataError, match=r"need \d+ images"):
        check_images(5e-324, {"a": 30})
    for level in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="above 0 and less than 1"):
            Abstention(level, np.zeros(1), (1,), (1,))


@pytest.fixture(scope="module")
def model() -> Model:
    return fit(make_features(30), "logreg", cv=2, options=FitOptions(abstain=0.1))


@pytest.fixture(scope="module")
def saved(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model.save(tmp_path_factory.mktemp("model") / "model.clipfeat")


def test_a_round_trip_is_equal_to_the_bit(model: Model, saved: Path, tmp_path: Path) -> None:
    """All calibration values are stored, and a second round trip changes nothing."""
    again = load_model(load_model(saved).save(tmp_path / "again.clipfeat"))
    assert model.abstention is not None
    assert again.abstention is not None
    assert vars(again.abstention).keys() >= {"level", "probabilities", "n_images", "n_independent"}
    assert np.array_equal(again.abstention.probabilities, model.abstention.probabilities)
    for name in ("level", "n_images", "n_independent"):
        assert getattr(again.abstention, name) == getattr(model.abstention, name)
    assert np.array_equal(again.abstention.smallest, model.abstention.smallest)


def test_another_level(model: Model) -> None:
    """The level can be changed if the calibration has enough images."""
    changed = model.abstaining(0.5)
    assert changed.abstention is not None
    assert model.abstention is not None
    assert (changed.abstention.smallest > model.abstention.smallest).all()
    with pytest.raises(DataError, match="need 99 images of each class, but class 'fake' has 30"):
        model.abstaining(0.01)
    with pytest.raises(UsageError, match="stores no calibration"):
        replace(model, abstention=None).abstaining(0.1)


def change_fields(**changes: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda description, arrays: description["abstention"].update(changes)


def change_array(
    change: Callable[[np.ndarray], np.ndarray],
) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda description, arrays: arrays.update(abstention=change(arrays["abstention"]))


@pytest.mark.parametrize(
    "change",
    [
        *(change_fields(level=level) for level in (0, 1.0, -0.1, "x", None, 5e-324, 1e-9)),
        *(change_fields(n_images=n) for n in ([30], [30, 31], [60, 0], "ab", [30.0, 30], None)),
        *(change_fields(n_independent=n) for n in ([30], [31, 30], [0, 1], [[], []], 2**40)),
        change_fields(other=1),
        lambda description, arrays: description["abstention"].pop("level"),
        lambda description, arrays: description.update(abstention=[]),
        lambda description, arrays: description.pop("abstention"),
        lambda description, arrays: arrays.pop("abstention"),
        change_array(lambda a: a[::-1].copy()),
        change_array(lambda a: a + 1),
        change_array(lambda a: -a[::-1]),
        change_array(lambda a: a.astype(np.float32)),
        change_array(lambda a: a[:, None]),
        change_array(lambda a: np.full_like(a, np.nan)),
    ],
)
def test_hostile_fields_are_refused(change: Any, saved: Path, tmp_path: Path) -> None:
    """A missing, unknown or invalid field or array is an error."""
    description, arrays = read_container(saved)
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(description, arrays)
    write_container(tmp_path / "changed.clipfeat", description, arrays)
    with pytest.raises(RefusedFileError, match=r"abstention|finite|missing or unknown"):
        load_model(tmp_path / "changed.clipfeat")
