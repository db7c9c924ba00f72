"""Tests of path functions on text, which must agree with path objects."""

from pathlib import Path, PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from clipfeat.images.member_names import joined_path, plain_path, suffix_of

names = st.lists(st.sampled_from(["/", ".", "..", "a", "B.Png", ".x", "ä", " "])).map("".join)


@given(names)
def test_texts_equal_path_objects(name: str) -> None:
    """For every combination of slashes and dots, path and suffix agree."""
    path = PurePosixPath(name)
    assert plain_path(name) == str(path)
    assert suffix_of(name) == path.suffix.lower()
    assert joined_path("/r", name) == str(Path("/r", name))
    assert joined_path("/", name) == str(Path("/", name))
