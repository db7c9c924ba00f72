"""Tests of averages over the frames, faces and views of a file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.errors import UnknownNameError, UsageError
from clipfeat.features.by_file import AVERAGES, by_file, confident


def rows(*positive: float) -> np.ndarray:
    p = np.array(positive)
    return np.stack([1 - p, p], axis=1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1)), min_size=1, max_size=60))
@pytest.mark.parametrize("average", AVERAGES)
def test_an_average_lies_between_its_parts(average: str, parts: list[tuple[str, float]]) -> None:
    """Each file has one row, in order, within the range of its parts."""
    files = [file for file, _ in parts]
    names, p = by_file(rows(*(value for _, value in parts)), files, average)
    assert names == list(dict.fromkeys(files))
    for name, row in zip(names, p, strict=True):
        own = [value for file, value in parts if file == name]
        assert min(own) - 1e-9 <= row[1] <= max(own) + 1e-9
        assert row.sum() == pytest.approx(1)


def test_unreadable_parts_are_ignored() -> None:
    """NaN parts are ignored. A file with only NaN parts gets NaN."""
    p = np.vstack([rows(0.2), np.full((2, 2), np.nan)])
    _, averaged = by_file(p, ["a", "a", "b"])
    assert averaged[0].tolist() == [0.8, 0.2]
    assert np.isnan(averaged[1]).all()


def test_the_confident_average_takes_confident_parts() -> None:
    """Only confident parts are averaged if there are enough, otherwise all parts."""
    mixed = [0.9] * 12 + [0.5] * 12
    assert confident(rows(*mixed))[1] == pytest.approx(0.9)
    assert confident(rows(*mixed[1:]))[1] == pytest.approx(np.mean(mixed[1:]))
    assert confident(rows(*[0.1] * 19, 0.7))[1] == pytest.approx(0.1)
    with pytest.raises(UsageError, match="two classes"):
        confident(np.full((3, 3), 1 / 3))
    with pytest.raises(UnknownNameError, match="confident"):
        by_file(rows(0.5), ["a"], "confidant")
