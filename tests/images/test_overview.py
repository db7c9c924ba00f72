"""Tests of the overview of a source."""

from collections.abc import Mapping

from clipfeat.images.overview import overview_of
from clipfeat.images.readers import FileBytes
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource


def source(*images: tuple[str, Mapping[str, str]]) -> ImageSource:
    records = [
        ImageRecord(f"{i}.png", FileBytes("x"), label, columns=tuple(sorted(columns.items())))
        for i, (label, columns) in enumerate(images)
    ]
    return ImageSource("the folder x", "/x", records)


def test_rows_count_classes_generators_and_splits() -> None:
    """Splits are columns, official ones first. An origin without a value is blank."""
    overview = overview_of(source(
        ("fake", {"generator": "b", "split": "test"}),
        ("fake", {"generator": "a", "split": "train"}),
        ("fake", {"generator": "a", "split": "extra"}), ("real", {"source": "coco"}), ("", {}),
    ))  # fmt: skip
    assert overview.heads == [
        "class", "generator", "source", "train", "test", "extra", "no split", "images",
    ]  # fmt: skip
    assert overview.rows() == [
        ["fake", "a", "", "1", "0", "1", "0", "2"],
        ["fake", "b", "", "0", "1", "0", "0", "1"],
        ["real", "", "coco", "0", "0", "0", "1", "1"],
        ["unlabelled", "", "", "0", "0", "0", "1", "1"],
    ]
    assert overview.examples == (
        "0.png: class fake, generator b, split test",
        "3.png: class real, source coco",
        "4.png: class unlabelled",
    )


def test_many_generators_are_added_up() -> None:
    """Rows above the limit are summed in one row. Too many splits have no columns."""
    images = [("fake", {"generator": f"g{i:03d}", "split": str(i)}) for i in range(100)]
    overview = overview_of(source(*images))
    rows = overview.rows()
    assert len(rows) == 21
    assert rows[0] == ["fake", "g000", "1"]
    assert rows[-1] == ["… and 80 more", "", "80"]
    assert sum(int(row[-1]) for row in rows) == 100


def test_unlabelled_images_have_one_row() -> None:
    """Without classes and columns, there is one row with the number of images."""
    overview = overview_of(source(("", {}), ("", {})))
    assert overview.title == "2 images of the folder x"
    assert (overview.heads, overview.rows()) == (["class", "images"], [["unlabelled", "2"]])
    assert len(overview.examples) == 2
