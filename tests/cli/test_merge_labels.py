"""Tests of ``--merge-labels`` for every command that reads labels."""

from pathlib import Path

from clipfeat.store import load
from tests.cli.command_line import SPECTRUM, assert_fails, clipfeat, embed, rehash, succeed


def write_tables(images: Path) -> None:
    """Write tables with two spellings of a class, with one spelling, and of half of the images."""
    paths = sorted(path.relative_to(images) for path in images.rglob("*.png"))
    labels = [path.parts[0] for path in paths]
    mixed = [label.title() if i % 3 else label for i, label in enumerate(labels)]
    for name, values in (("mixed", mixed), ("lower", labels), ("upper", map(str.upper, labels))):
        lines = [f"{path},{label}" for path, label in zip(paths, values, strict=True)]
        (images / f"{name}.csv").write_text("path,label\n" + "\n".join(lines))
    (images / "half.csv").write_text("path,label\n" + "\n".join(lines[::2]))


def test_classes_are_refused_or_merged(image_folder: Path) -> None:
    """Two spellings of a class are an error without ``--merge-labels``, and merged with it."""
    write_tables(image_folder)
    refused = clipfeat("embed", "images/mixed.csv", "m.h5", *SPECTRUM)
    assert_fails(refused, 1, "'Fake' (8 images), 'fake' (4 images)")
    assert not Path("m.h5").exists()
    words = ("embed", "images/mixed.csv", "m.h5", *SPECTRUM, "--merge-labels")
    assert "labels: 12 Fake, 12 Real" in succeed(*words).stdout
    embed("images/lower.csv", "lower.h5")
    rehash(image_folder)  # training images would not be tested
    embed("images/upper.csv", "upper.h5")
    compared = ("benchmark", "--train", "lower.h5", "--test", "upper.h5", "--clf", "dummy")
    assert "differ only in capitals" in clipfeat(*compared, "--no-audit").stderr
    succeed(*compared, "--no-audit", "--merge-labels")
    succeed("fit", "lower.h5", "--cv", 0)
    scored = ("predict", "model.clipfeat", "upper.h5", "--labels", "images/upper.csv")
    assert "Pass --merge-labels" in clipfeat(*scored).stderr
    assert "scored on 24 images" in succeed(*scored, "--merge-labels").stderr
    merged = ("merge", "lower.h5", "upper.h5", "-o", "both.h5", "--prefer", "last")
    assert "differ only in capitals" in clipfeat(*merged).stderr
    succeed(*merged, "--merge-labels")
    added = ("embed", "images/half.csv", "lower.h5", *SPECTRUM)
    assert "differ only in capitals" in clipfeat(*added).stderr
    assert "labels: 6 fake, 6 real" in succeed(*added, "--merge-labels").stdout
    embed("images/upper.csv", "lower.h5")  # the labels of all rows are corrected
    assert load("lower.h5").classes == ("REAL", "FAKE")
