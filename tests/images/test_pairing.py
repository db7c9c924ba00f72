"""Tests of the rule that pairs names with images."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.errors import DataError
from clipfeat.features.pairing import pair_names
from clipfeat.images.pairing import pair_sidecars

NAME = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6
).filter(lambda name: name not in {".", ".."})
PATH = st.lists(NAME, min_size=1, max_size=3).map("/".join)
FORMS = st.sampled_from(["NFC", "NFD"])


def distinct(paths: list[str]) -> bool:
    forms = [unicodedata.normalize("NFC", path) for path in paths]
    return len(set(forms)) == len(forms)


@given(st.lists(PATH, unique=True, max_size=8))
def test_paths_are_paired_with_themselves(paths: list[str]) -> None:
    """Exact paths are paired, even if other names are similar."""
    assert pair_names(paths, paths, "t.csv") == list(range(len(paths)))


@given(st.lists(PATH, unique=True, max_size=8).filter(distinct), FORMS, FORMS)
def test_normal_forms_are_equal(paths: list[str], of_names: str, of_paths: str) -> None:
    """A name in another Unicode form is paired, unless another name matches exactly."""
    names = [unicodedata.normalize(of_names, path) for path in paths]
    images = [unicodedata.normalize(of_paths, path) for path in paths]
    assert pair_names(names, images, "t.csv") == list(range(len(paths)))


@given(st.lists(PATH, unique=True, min_size=1, max_size=8), NAME)
def test_a_pair_is_exact_or_an_error(paths: list[str], name: str) -> None:
    """A name is paired only if no other image matches it at the same level."""
    parts = [[str(p), str(p.with_suffix("")), p.name, p.stem] for p in map(PurePosixPath, paths)]
    name = name.strip() or "x"  # see the next test
    wanted = unicodedata.normalize("NFC", name)
    try:
        (index,) = pair_names([name], paths, "t.csv")
    except DataError:
        equal = [p for p in parts if wanted in [unicodedata.normalize("NFC", x) for x in p]]
        assert len(equal) > 1
        return
    if index is None:
        assert all(name not in p for p in parts)
    else:
        assert wanted in [unicodedata.normalize("NFC", x) for x in parts[index]]


def test_spaces_and_suffixes() -> None:
    """Spaces count only if an image's name has them, and a path may lack its suffix."""
    paths = ["a/1.png", "b/1.png", "c/ 2.png", "c/2.png", "1/x.png"]
    names = ["a/1", " b/1.png ", " 2", " 2.png", "2 ", "\t", "1/x"]
    assert pair_names(names, paths, "t.csv") == [0, 1, 2, 2, 3, None, 4]


@given(st.lists(NAME, unique=True, min_size=1, max_size=8).filter(distinct), FORMS)
def test_sidecars_are_paired_by_stem(stems: list[str], form: str) -> None:
    """Each image is paired with its own side-car, even if stems contain dots."""
    images = [f"d/{stem}.png" for stem in stems]
    sidecars = [unicodedata.normalize(form, f"d/{stem}.cls") for stem in stems]
    assert pair_sidecars(images, sidecars, "x.tar") == list(range(len(stems)))


def test_names_of_several_images() -> None:
    """A name that several images match is an error. A path is preferred to a file name."""
    assert pair_names(["1.png"], ["1.png", "a/1.png"], "t.csv") == [0]
    with pytest.raises(DataError, match=r"'1.png' in t.csv is the name of 2 images"):
        pair_names(["1.png"], ["a/1.png", "b/1.png"], "t.csv")
    with pytest.raises(DataError, match=r"'1' in t.csv is the name of 2 images"):
        pair_names(["1"], ["a/1.png", "a/1.jpg"], "t.csv")
    with pytest.raises(DataError, match=r"both belong to 'é.png'"):
        pair_sidecars(["é.png"], ["e\u0301.cls", "e\u0301.CLS"], "x.tar")
