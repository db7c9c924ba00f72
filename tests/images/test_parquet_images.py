"""Tests of Parquet files that contain images: columns, names, labels and shards."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipfeat.errors import ClipfeatWarning, EmptySourceError, RefusedFileError, UnknownNameError
from clipfeat.images import open_source
from clipfeat.images.manifest import TableColumns
from clipfeat.images.thumbnails import find_readers

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def images(n: int, names: Sequence[str | None] | None = None) -> pa.Array:
    """Return a column in the format of Hugging Face."""
    paths = names or [f"{i}.jpg" for i in range(n)]
    return pa.array([{"bytes": b"%d" % i, "path": paths[i]} for i in range(n)], IMAGE)


def write(path: Path, columns: Mapping[str, Any], features: Any = None, rows: int = 2) -> str:
    table = pa.table(dict(columns))
    if features is not None:
        about = json.dumps({"info": {"features": features}}).encode()
        table = table.replace_schema_metadata({b"huggingface": about})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows)
    return str(path)


def test_the_form_of_hugging_face(tmp_path: Path) -> None:
    """Class names replace the class numbers, and each row gives the stored bytes."""
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": ["real", "fake"]},
        "style": {"_type": "ClassLabel", "names": ["photo"]},
    }
    columns = {
        "image": images(5),
        "label": [0, 1, -1, None, 7], "style": [0, 0, 0, 0, 0],
        "model": ["", "sdxl", "flux", None, "x"], "boxes": [[1.0]] * 5,
    }  # fmt: skip
    source = open_source(write(tmp_path / "train-00000-of-00001.parquet", columns, features))
    assert [record.label for record in source] == ["real", "fake", "", "", "7"]
    assert [record.path for record in source][:2] == [
        "train-00000-of-00001.parquet/0.jpg", "train-00000-of-00001.parquet/1.jpg",
    ]  # fmt: skip
    assert [record.reader.read() for record in source] == [b"0", b"1", b"2", b"3", b"4"]
    assert dict(source.records[1].columns) == {"model": "sdxl", "style": "photo", "split": "train"}


@pytest.mark.parametrize(
    "features", [[], {"label": 3}, {"label": {"_type": "ClassLabel"}}, "[" * 9000]
)
def test_odd_metadata_is_ignored(tmp_path: Path, features: Any) -> None:
    """Metadata of any form are accepted, and ignored if they are invalid."""
    spec = write(tmp_path / "a.parquet", {"image": images(2), "label": [0, 1]}, features)
    assert [record.label for record in open_source(spec)] == ["0", "1"]


def test_plain_bytes(tmp_path: Path) -> None:
    """A column of plain bytes is read as in CommunityForensics, with paths from a name column."""
    columns = {
        "image_name": ["a.png", "b.png"], "image_data": [b"x", b"y"], "model_name": ["m", "n"],
        "label": [0, 1],
    }  # fmt: skip
    source = open_source(write(tmp_path / "a.parquet", columns))
    assert [(r.path, r.label, dict(r.columns), r.reader.read()) for r in source] == [
        ("a.parquet/a.png", "0", {"model_name": "m"}, b"x"),
        ("a.parquet/b.png", "1", {"model_name": "n"}, b"y"),
    ]


@pytest.mark.parametrize("names", [["a.jpg", "a.jpg"], ["a.jpg", None], ["a.jpg", "./a.jpg"]])
def test_rows_without_unique_names_are_numbered(tmp_path: Path, names: list[str | None]) -> None:
    """Rows are numbered over all row groups of the file."""
    spec = write(tmp_path / "a.parquet", {"image": images(2, names), "label": [0, 1]}, rows=1)
    source = open_source(spec)
    assert [(r.path, r.reader.read()) for r in source] == [
        ("a.parquet#0", b"0"), ("a.parquet#1", b"1"),
    ]  # fmt: skip
    readers = find_readers(["a.parquet#1", "a.parquet#2"], [tmp_path])
    assert {path: reader.read() for path, reader in readers.items()} == {"a.parquet#1": b"1"}


@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.large_binary(), pa.binary(1), pa.binary_view(),
     pa.dictionary(pa.int32(), pa.binary())],
    ids=str,
)  # fmt: skip
def test_every_type_of_bytes(tmp_path: Path, kind: pa.DataType) -> None:
    """Every Parquet type that can store bytes is read."""
    spec = write(
        tmp_path / "a.parquet", {"img": pa.array([b"x", None, b"x"]).cast(kind), "y": [0, 1, 0]}
    )
    readers = [record.reader for record in open_source(spec)]
    assert (readers[0].read(), readers[2].read()) == (b"x", b"x")


def test_the_column_of_images_is_chosen(tmp_path: Path) -> None:
    """A usual column name is preferred, and an option selects another column."""
    mask = pa.array([{"bytes": b"m", "path": "m.png"}], IMAGE)
    spec = write(tmp_path / "a.parquet", {"mask": mask, "image": images(1), "label": [0]})
    assert [r.reader.read() for r in open_source(spec)] == [b"0"]
    chosen = open_source(spec, columns=TableColumns(path="mask"))
    assert [(r.path, r.reader.read()) for r in chosen] == [("a.parquet/m.png", b"m")]
    spec = write(tmp_path / "b.parquet", {"path": ["x.png"], "thumb": [b"t"], "label": [0]})
    assert [r.path for r in open_source(spec)] == ["x.png"]
    chosen = open_source(spec, columns=TableColumns(path="thumb"))
    assert [(r.path, r.reader.read()) for r in chosen] == [("b.parquet/x.png", b"t")]
    spec = write(tmp_path / "c.parquet", {"blob": [b"t"], "label": [0]})
    assert [r.reader.read() for r in open_source(spec)] == [b"t"]


def test_the_column_of_names_is_chosen(tmp_path: Path) -> None:
    """A given text column gives the image names. A missing one is an error."""
    spec = write(tmp_path / "a.parquet", {"image": images(1), "key": ["k.png"], "label": [0]})
    (record,) = open_source(spec, columns=TableColumns(path="key"))
    assert (record.path, record.reader.read()) == ("a.parquet/k.png", b"0")
    with pytest.raises(UnknownNameError, match=r"unknown path column of .*did you mean key"):
        open_source(spec, columns=TableColumns(path="keys"))


def test_a_table_of_paths_never_prints_bytes(tmp_path: Path) -> None:
    """Columns of bytes are not used as text, even in a table of labels."""
    spec = write(tmp_path / "a.parquet", {"hash": [b"\xff" * 99], "thumb": [b"t"], "label": [0]})
    with pytest.raises(
        UnknownNameError, match=r"no column of paths .*\(columns: label, hash, thumb\)"
    ):
        open_source(spec)
    spec = write(tmp_path / "b.parquet", {"id": ["1"], "hash": [b"\xff"], "label": ["cat"]})
    (tmp_path / "1.png").write_bytes(b"x")
    (record,) = open_source(spec)
    assert (record.path, record.label, record.columns) == ("1.png", "cat", ())
    (record,) = open_source(str(tmp_path / "1.png"), labels=spec)
    assert record.label == "cat"


def test_a_folder_of_shards(tmp_path: Path) -> None:
    """File names give the split, as in a repository of the hub. Other files are counted."""
    folder = tmp_path / "repository"
    for name in ("data/train-00000-of-00002", "data/train-00001-of-00002",
                 "data/test-00000-of-00001", "plain/validation/0000"):  # fmt: skip
        write(folder / f"{name}.parquet", {"image": images(2), "label": [0, 1]})
    write(folder / "sizes.parquet", {"width": [1]})
    for name in ("README.md", ".gitattributes", "LICENSE"):
        (folder / name).write_text("x")
    source = open_source(str(folder))
    assert [(r.path, dict(r.columns)["split"]) for r in source][::2] == [
        ("data/test-00000-of-00001.parquet/0.jpg", "test"),
        ("data/train-00000-of-00002.parquet/0.jpg", "train"),
        ("data/train-00001-of-00002.parquet/0.jpg", "train"),
        ("plain/validation/0000.parquet/0.jpg", "val"),
    ]
    assert source.skipped == {".md": 1, "hidden": 1, "no suffix": 1, ".parquet": 1}
    assert source.places == (str(folder),)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"x")
    write(tmp_path / "images" / "labels.parquet", {"id": ["1"], "label": ["cat"]})
    assert [r.path for r in open_source(str(tmp_path / "images"))] == ["1.png"]


def test_image_files_beside_images_in_parquet_files_are_an_error(tmp_path: Path) -> None:
    """A folder with both kinds is an error, so no image is silently skipped."""
    write(tmp_path / "thumbs.parquet", {"image": images(2), "label": [0, 1]})
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"x")
    with pytest.raises(RefusedFileError, match="and 1 other image files"):
        open_source(str(tmp_path))
    assert len(open_source(f"{tmp_path}/*.parquet")) == 2


def test_labels_from_a_table_replace_those_of_the_file(tmp_path: Path) -> None:
    """The table can refer to images by their file names."""
    spec = write(tmp_path / "a.parquet", {"image": images(2), "label": [0, 1]})
    (tmp_path / "t.csv").write_text("id,label\n1,cat\n")
    source = open_source(spec, labels=tmp_path / "t.csv")
    assert [record.label for record in source] == ["", "cat"]


def test_labels_and_groups_are_columns(tmp_path: Path) -> None:
    """Columns are found by usual or given names. A missing one is an error."""
    spec = write(tmp_path / "a.parquet", {"image": images(1), "kind": ["cat"], "site": ["x"]})
    with pytest.warns(ClipfeatWarning, match="its images are unlabelled"):
        open_source(spec)
    (record,) = open_source(spec, columns=TableColumns(label="kind", group="site"))
    assert (record.label, record.group) == ("cat", "x")
    with pytest.raises(UnknownNameError, match="unknown label column of"):
        open_source(spec, columns=TableColumns(label="kid"))


def test_shards_without_images_are_errors(tmp_path: Path) -> None:
    """A pattern that matches files without images is an error."""
    write(tmp_path / "a-0.parquet", {"image": images(1), "label": [0]})
    write(tmp_path / "a-1.parquet", {"path": ["x"], "label": [0]})
    with pytest.raises(RefusedFileError, match=r"a-1.parquet has no column with the bytes"):
        open_source(f"{tmp_path}/a-{{0..1}}.parquet")
    with pytest.raises(EmptySourceError, match="1 of 2 shards are missing"):
        open_source(f"{tmp_path}/a-{{1..2}}.parquet")
    with pytest.raises(EmptySourceError, match="no images"):
        open_source(
            write(tmp_path / "b.parquet", {"image": images(0), "label": pa.array([], "int8")})
        )


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    """For a Git LFS pointer, the error says that the large file is missing."""
    for name in ("a-0", "b"):
        (tmp_path / f"{name}.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    for name in ("a-*", "b"):
        with pytest.raises(RefusedFileError, match="Run git lfs pull"):
            open_source(f"{tmp_path}/{name}.parquet")


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    """Missing values do not turn integers into fractions. The pandas index is not a column."""
    table = pd.DataFrame(
        {"image": [b"x", b"y"], "label": [1, None], "seed": [7, None]}, index=["a", "b"]
    )
    table.to_parquet(tmp_path / "a.parquet")
    source = open_source(str(tmp_path / "a.parquet"))
    assert [(r.label, r.columns) for r in source] == [
        ("1", (("seed", "7"),)),
        ("", (("seed", ""),)),
    ]
