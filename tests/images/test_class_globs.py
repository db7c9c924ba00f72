"""Tests of classes given by path patterns."""

from pathlib import Path

import pytest

from clipfeat.errors import LabelError, UsageError
from clipfeat.images import open_source
from clipfeat.images.class_globs import ClassGlobs

Values = dict[str, tuple[str, dict[str, str]]]


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def values(spec: Path, globs: ClassGlobs) -> Values:
    return {r.path: (r.label, dict(r.columns)) for r in open_source(spec, globs=globs)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Write two generators and two sets of photographs in no layout that clipfeat recognises."""
    return make(tmp_path / "set", "a/unheard/train/1.png", "a/unseen/test/1.png", "b/x/1.png",
                "b/[y]/1.jpg")  # fmt: skip


def test_patterns_give_the_classes_and_the_level_gives_the_generator(tree: Path) -> None:
    """Splits are kept, and photographs get their folder as source."""
    assert values(tree, ClassGlobs(["b"], ["a/*"], 2)) == {
        "a/unheard/train/1.png": ("fake", {"generator": "unheard", "split": "train"}),
        "a/unseen/test/1.png": ("fake", {"generator": "unseen", "split": "test"}),
        "b/x/1.png": ("real", {"source": "x"}),
        "b/[y]/1.jpg": ("real", {"source": "[y]"}),
    }


@pytest.mark.parametrize(
    ("glob", "n"),
    [
        ("b", 2), ("b/", 2), ("b/**", 2), ("**/1.png", 3), ("**/x", 1), ("?/*/*.jpg", 1),
        ("[ab]", 4), ("[!a]", 2), ("b/[[]y]", 1), ("./b/x/1.png", 1), ("set/b", 2),
        ("**", 4), ("*", 4),
    ],
)  # fmt: skip
def test_forms_of_patterns(tree: Path, glob: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern covers the folders that it matches, and may start at the current directory."""
    monkeypatch.chdir(tree.parent)
    labels = [label for label, _ in values(tree, ClassGlobs(real=[glob])).values()]
    assert labels.count("real") == n
    assert labels.count("") == len(labels) - n


def test_unmatched_images_are_counted(tree: Path) -> None:
    """Images that match no pattern are unlabelled, even if their folders look like classes."""
    source = open_source(tree, globs=ClassGlobs(["b/x"], ["a"]))
    assert {r.path: r.label for r in source}["b/[y]/1.jpg"] == ""
    (note,) = source.notes
    assert note.startswith("1 image is unlabelled, because neither --real nor --fake matches")


def test_the_level_corrects_a_layout(tmp_path: Path) -> None:
    """Without patterns, --generator-level keeps the classes of the layout."""
    paths = [f"{top}/a/{cls}/1.png" for top in "xy" for cls in ("0_real", "1_fake")]
    tree = make(tmp_path, *paths)
    assert {columns["generator"] for _, columns in values(tree, ClassGlobs()).values()} == {
        "x",
        "y",
    }
    corrected = values(tree, ClassGlobs(generator_level=2))
    assert set(map(str, corrected.values())) == {
        "('fake', {'generator': 'a'})", "('real', {'generator': 'a'})",
    }  # fmt: skip
    assert not open_source(tree, globs=ClassGlobs(generator_level=2)).notes


@pytest.mark.parametrize(
    ("globs", "error", "message"),
    [
        (ClassGlobs(["a"], ["*/unheard"]), LabelError, "matches both --real 'a' and --fake"),
        (ClassGlobs(["c"]), UsageError, r"--real 'c' matches no image. The paths look like 'a/"),
        (ClassGlobs(["b"], ["a"], 4), UsageError, "no generated image has 4 folders in its path"),
        (ClassGlobs(["[z-a]"]), UsageError, r"pattern '\[z-a\]' is not valid"),
    ],
)
def test_contradictions_are_errors(
    tree: Path, globs: ClassGlobs, error: type[Exception], message: str
) -> None:
    """Unused patterns, images of both classes and levels without folders are errors."""
    with pytest.raises(error, match=message):
        open_source(tree, globs=globs)


def test_two_sources_of_labels_are_refused(tree: Path) -> None:
    """A table of labels cannot be combined with patterns."""
    with pytest.raises(UsageError, match="labels can come from --labels, or from --real"):
        open_source(tree, labels="labels.csv", globs=ClassGlobs(["a"]))
    with pytest.raises(UsageError, match="must be 1 or more, got 0"):
        ClassGlobs(generator_level=0)
