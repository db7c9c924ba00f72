"""Tests of zip archives: labels, names, repeated members and shards."""

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from clipfeat.errors import (
    ClipfeatError,
    DataError,
    LabelError,
    RefusedFileError,
    UnknownNameError,
    UsageError,
)
from clipfeat.images import open_source
from clipfeat.images.manifest import TableColumns
from clipfeat.images.thumbnails import find_readers

Members = Mapping[str, bytes] | Sequence[tuple[str, bytes]]


def write_zip(path: Path, members: Members, method: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of repeated names
        for name, data in members.items() if isinstance(members, Mapping) else members:
            archive.writestr(name, data)
    return str(path)


def labels_of(spec: str) -> dict[str, str]:
    return {record.path: record.label for record in open_source(spec)}


@pytest.mark.parametrize("method", [0, 8, 12, 14])
def test_members_are_read_with_every_compression(tmp_path: Path, method: int) -> None:
    """With every compression method, the original bytes are read."""
    contents = {"cat/a.jpg": b"x" * 100_000, "dog/b.jpg": bytes(range(256)) * 5}
    source = open_source(write_zip(tmp_path / "x.zip", contents, method))
    assert {record.path: record.reader.read() for record in source} == {
        f"x.zip/{name}": data for name, data in contents.items()
    }
    assert [record.label for record in source] == ["cat", "dog"]


def test_layouts_of_detection_data_are_understood(tmp_path: Path) -> None:
    """The folders of all shards together give labels, generators and splits."""
    for shard, folder in enumerate(("0_real", "1_fake")):
        write_zip(tmp_path / f"{shard}.zip", {f"train/progan/{folder}/{shard}.png": b"x"})
    source = open_source(f"{tmp_path}/{{0..1}}.zip")
    assert [(r.label, dict(r.columns)) for r in source] == [
        (label, {"generator": "progan", "split": "train"}) for label in ("real", "fake")
    ]


def test_shards_with_a_table_each(tmp_path: Path) -> None:
    """Each table labels only the images of its own shard, as in the NTIRE challenge."""
    for shard in range(2):
        table = f"image_name,label,site\nimages/1.png,{shard},x\n2.png,{1 - shard},y\n"
        members = {"images/1.png": b"x", "images/2.png": b"y", "images/3.png": b"z"}
        write_zip(tmp_path / f"shard_{shard}.zip", members | {"labels.csv": table.encode()})
    for pattern in ("shard_{0..1}.zip", "shard_*.zip"):
        source = open_source(str(tmp_path / pattern))
        assert [record.label for record in source] == ["0", "1", "", "1", "0", ""]
        assert dict(source.records[0].columns) == {"site": "x"}
        assert not source.skipped
    outside = tmp_path / "outside.csv"
    outside.write_text("path,label\nshard_0.zip/images/1.png,cat\n")
    source = open_source(str(tmp_path / "shard_*.zip"), labels=outside)
    assert {record.path: record.label for record in source if record.label} == {
        "shard_0.zip/images/1.png": "cat"
    }


def test_a_table_labels_the_images_below_its_folder(tmp_path: Path) -> None:
    """Several tables named labels are used, each for its folder, instead of folder names."""
    members = {
        "set/train/labels.csv": b"file,label\nimages/1.png,cat\n",
        "set/test/Labels.TSV": b"file\tlabel\nimages/1.png\tdog\n",
        "set/train/images/1.png": b"x", "set/test/images/1.png": b"y", "other/2.png": b"z",
    }  # fmt: skip
    assert labels_of(write_zip(tmp_path / "x.zip", members)) == {
        "x.zip/set/train/images/1.png": "cat",
        "x.zip/set/test/images/1.png": "dog",
        "x.zip/other/2.png": "other",
    }


def test_a_table_that_unpacks_to_many_rows_is_refused(tmp_path: Path) -> None:
    """A 50 kB archive with a table of millions of rows is refused."""
    members = {"labels.csv": b"file,label\n" + b"1.png,a\n" * 2**21, "1.png": b"x"}
    with pytest.raises(RefusedFileError, match="more than the limit of 16777216"):
        open_source(write_zip(tmp_path / "x.zip", members, zipfile.ZIP_DEFLATED))


def test_the_only_table_is_used_if_it_has_labels(tmp_path: Path) -> None:
    """Tables without labels, such as a sample submission, are only counted."""
    image = {"cat/1.png": b"x"}
    table = {"train.csv": b"id,class\n1,tabby\n"}
    assert labels_of(write_zip(tmp_path / "a.zip", image | table)) == {"a.zip/cat/1.png": "tabby"}
    for others in ({"sizes.csv": b"id,width\n1,9\n"}, table | {"sub.csv": b"id,class\n1,0\n"}):
        source = open_source(write_zip(tmp_path / "b.zip", image | others))
        assert source.skipped == {".csv": len(others)}
        assert [record.label for record in source] == ["cat"]
    spec = write_zip(tmp_path / "c.zip", image | {"t.csv": b"id,kind\n1,lion\n"})
    assert [r.label for r in open_source(spec, columns=TableColumns(label="kind"))] == ["lion"]
    with pytest.raises(UnknownNameError, match="unknown label column of"):
        open_source(spec, columns=TableColumns(label="kin"))
    with pytest.raises(UnknownNameError, match=r"unknown path column of .*c\.zip/t\.csv"):
        open_source(spec, columns=TableColumns(path="ids", label="kind"))
    with pytest.raises(UsageError, match="has no table of labels inside"):
        open_source(write_zip(tmp_path / "d.zip", image), columns=TableColumns(path="id"))


def test_a_table_in_a_folder_without_images_labels_the_archive(tmp_path: Path) -> None:
    """Such a table labels all images. Columns from folders can be groups."""
    members = {"sdxl/0_real/1.png": b"x", "sdxl/1_fake/2.png": b"y",
               "meta/labels.csv": b"id,label\nsdxl/0_real/1.png,cat\n2,dog\n"}  # fmt: skip
    spec = write_zip(tmp_path / "x.zip", members)
    source = open_source(spec, columns=TableColumns(group="generator"))
    assert [(record.label, record.group) for record in source] == [("cat", "sdxl"), ("dog", "sdxl")]


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (b"id,kind\n1,cat\n", UnknownNameError, r"x.zip/labels.csv has no column of labels"),
        (b"id,label\n1,cat\n1,dog\n", LabelError, "twice, with the labels 'cat' and 'dog'"),
        (b"id,label\n9,cat\n", LabelError, "no image of .*x.zip is in .*x.zip/labels.csv"),
        (b"\xff\xff\0", RefusedFileError, "x.zip/labels.csv cannot be read as a table"),
    ],
)
def test_bad_tables_are_errors(
    tmp_path: Path, table: bytes, error: type[ClipfeatError], message: str
) -> None:
    """A table named labels that cannot be used is an error, and is never ignored."""
    spec = write_zip(tmp_path / "x.zip", {"1.png": b"x", "labels.csv": table})
    with pytest.raises(error, match=message):
        open_source(spec)


def test_names_stay_inside_the_archive(tmp_path: Path) -> None:
    """Absolute names, ``..`` and backslashes become paths within the archive."""
    names = ["/etc/1.png", "../../2.png", "C:\\cat\\3.png", "cat\\.\\4.png", "a/../5.png", "cat/",
             "b\\"]  # fmt: skip
    source = open_source(write_zip(tmp_path / "x.zip", dict.fromkeys(names, b"x")))
    assert [(record.path, record.label) for record in source] == [
        ("x.zip/etc/1.png", "etc"), ("x.zip/2.png", ""), ("x.zip/cat/3.png", "cat"),
        ("x.zip/cat/4.png", "cat"), ("x.zip/a/5.png", "a"),
    ]  # fmt: skip


def test_names_in_utf_8_without_the_flag(tmp_path: Path) -> None:
    """UTF-8 names are recognised without the flag, which macOS does not set."""
    path = Path(write_zip(tmp_path / "x.zip", {"caXXX/1.png": b"x"}))
    path.write_bytes(path.read_bytes().replace(b"caXXX", "caf\u00e9".encode()))
    assert labels_of(str(path)) == {
        "x.zip/caf\N{LATIN SMALL LETTER E WITH ACUTE}/1.png": "caf\u00e9"
    }


def test_members_that_are_not_images_are_counted(tmp_path: Path) -> None:
    """Hidden files, links, videos and other files are counted."""
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    path = Path(write_zip(tmp_path / "x.zip", {
        "cat/1.png": b"x", "__MACOSX/cat/._1.png": b"x", "cat/._1.png": b"x", ".DS_Store": b"x",
        "cat/2.jpg?size=9": b"\xff\xd8\xff\xe0", "3": b"GIF89a", "4": b"text", "5.mp4": b"x",
        "6.zip": b"PK", "7.json": b"{}",
    }, zipfile.ZIP_DEFLATED))  # fmt: skip
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "cat/1.png")
    source = open_source(str(path))
    assert [r.path for r in source] == ["x.zip/cat/1.png", "x.zip/cat/2.jpg?size=9", "x.zip/3"]
    assert source.skipped == {
        "hidden": 3, "link": 1, "no suffix": 1, ".mp4": 1, ".zip": 1, ".json": 1,
    }  # fmt: skip


def test_repeated_members_must_be_equal(tmp_path: Path) -> None:
    """Equal copies are counted, even if their names are spelled differently."""
    spec = write_zip(tmp_path / "x.zip", [("a.png", b"x"), ("./a.png", b"x"), ("a.png", b"x")])
    source = open_source(spec)
    assert (len(source), source.skipped) == (1, {"repeated member": 2})
    with pytest.raises(DataError, match=r"two members named 'a\.png' with different contents"):
        open_source(write_zip(tmp_path / "y.zip", [("a.png", b"x"), ("a.png", b"y")]))


def test_the_place_of_an_image_is_its_archive(tmp_path: Path) -> None:
    """The location of a member is its archive, so a damaged member is not a missing source."""
    source = open_source(write_zip(tmp_path / "x.zip", {"cat/deep/1.png": b"x"}))
    assert source.place_of("x.zip/cat/deep/1.png") == str(tmp_path / "x.zip") == source.places[0]


def test_the_thumbnails_of_a_feature_file_are_found(tmp_path: Path) -> None:
    """Paths of a feature file can refer to members of an archive."""
    (tmp_path / "in").mkdir()
    write_zip(tmp_path / "in" / "x.zip", {"cat/1.png": b"x"})
    readers = find_readers(["in/x.zip/cat/1.png", "in/x.zip/cat/2.png"], [tmp_path])
    assert {path: reader.read() for path, reader in readers.items()} == {"in/x.zip/cat/1.png": b"x"}
