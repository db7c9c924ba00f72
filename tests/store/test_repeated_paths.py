"""Tests of finding repeated paths by their hashes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.store import repeated_paths
from clipfeat.store.format import text_column
from clipfeat.store.repeated_paths import path_hashes, repeated_hashes


@given(st.lists(st.text(max_size=20), min_size=1), st.text(min_size=30, max_size=40))
def test_equal_paths_have_equal_hashes_in_columns_of_any_length(
    paths: list[str], longer: str
) -> None:
    """The hash does not depend on the string length of the column."""
    alone, together = text_column(paths), text_column([*paths, longer])
    assert (path_hashes(alone) == path_hashes(together)[:-1]).all()
    assert len(np.unique(path_hashes(alone))) == len(np.unique(alone))


def test_only_repeated_hashes_are_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashes of paths that occur in two files are returned, for any chunk size."""
    first, second = (text_column([f"{i}/x.png" for i in r]) for r in (range(90), range(88, 99)))
    whole = path_hashes(first)
    monkeypatch.setattr(repeated_paths, "CHUNK_ROWS", 7)
    assert (path_hashes(first) == whole).all()
    assert set(repeated_hashes([whole, path_hashes(second)])) == set(whole[-2:])
    assert not len(repeated_hashes([whole]))
