"""Tests of label files inside a folder of images."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clipfeat.errors import ClipfeatError, LabelError
from clipfeat.images import open_source
from clipfeat.images.label_files import LabelFile, with_label_files
from clipfeat.images.readers import FileBytes
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource

Values = dict[str, tuple[str, str, dict[str, str]]]


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def values(source: ImageSource) -> Values:
    return {r.path: (r.label, r.group, dict(r.columns)) for r in source}


def test_tables_beside_the_images(tmp_path: Path) -> None:
    """The table of each shard gives the labels, as in NTIRE, instead of the folders."""
    make(tmp_path, *(f"shard_{k}/images/{i}.png" for k in (0, 1) for i in range(2)), "other/5.png")
    for k in (0, 1):
        table = tmp_path / f"shard_{k}" / "labels.csv"
        table.write_text("image_name,label\n0.png,0\n" + ("1,1\n9.png,1\n" if k else ""))
    source = open_source(str(tmp_path))
    assert {path: label for path, (label, _, _) in values(source).items()} == {
        "shard_0/images/0.png": "0", "shard_0/images/1.png": "", "shard_1/images/0.png": "0",
        "shard_1/images/1.png": "1", "other/5.png": "",
    }  # fmt: skip
    assert source.layout == "labels.csv"
    assert source.skipped == {"row of labels without an image": 1}
    assert source.notes == (
        "1 of 2 images are not in shard_0/labels.csv, so they are unlabelled",
        "1 images are below no file of labels, so they are unlabelled",
    )


def test_videos_of_dfdc(tmp_path: Path) -> None:
    """The original video is the group of its copies, and REAL and FAKE become the usual classes."""
    make(tmp_path, "part_0/a.mp4", "part_0/b.mp4", "part_0/c.mp4")
    entries = {
        "a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"},
        "b.mp4": {"label": "REAL", "split": "train", "original": None},
        "d.mp4": {"label": "REAL", "split": "train"},
    }
    (tmp_path / "part_0" / "metadata.json").write_text(json.dumps(entries))
    source = open_source(str(tmp_path))
    assert values(source) == {
        "part_0/a.mp4": ("fake", "b.mp4", {"split": "train"}),
        "part_0/b.mp4": ("real", "b.mp4", {"split": "train"}),
        "part_0/c.mp4": ("", "", {}),
    }
    assert source.layout == "metadata.json"
    assert source.skipped == {"row of labels without an image": 1}


def celeb(root: Path, *lines: str) -> ImageSource:
    make(root, "Celeb-real/id0_0000.mp4", "YouTube-real/00170.mp4",
         "Celeb-synthesis/id0_id1_0000.mp4")  # fmt: skip
    (root / "List_of_testing_videos.txt").write_text("\n".join(lines))
    return open_source(str(root))


def test_the_test_list_of_celeb_df(tmp_path: Path) -> None:
    """In the list, 1 means real. Videos that are not listed are training videos."""
    source = celeb(tmp_path, "1 YouTube-real/00170.mp4", "0 Celeb-synthesis/id0_id1_0000.mp4", "")
    assert values(source) == {
        "Celeb-real/id0_0000.mp4": ("real", "", {"source": "Celeb", "split": "train"}),
        "YouTube-real/00170.mp4": ("real", "", {"source": "YouTube", "split": "test"}),
        "Celeb-synthesis/id0_id1_0000.mp4": ("fake", "", {"split": "test"}),
    }
    assert source.layout == "Celeb-DF and List_of_testing_videos.txt"
    assert not source.skipped
    with pytest.raises(LabelError, match="In this list, 1 means real"):
        celeb(tmp_path, "0 YouTube-real/00170.mp4")
    with pytest.raises(LabelError, match="as real and as fake"):
        celeb(tmp_path, "0 YouTube-real/00170.mp4", "1 YouTube-real/00170.mp4")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", b"text"), ("labels.csv", b"id,label\nz,1\n"), ("labels.csv", b"id,x\n1,2\n"),
        ("metadata.json", b"[" * 100_000),
        ("metadata.json", b"[]"), ("metadata.json", b'{"1.png": {"label": "CAT"}}'),
        ("metadata.json", b'{"1.png": 3}'), ("metadata.json", b'{"1.png": {"label": []}}'),
        ("List_of_testing_videos.txt", b"1 b.mp4"), ("List_of_testing_videos.txt", b"\xff a\n"),
    ],
)  # fmt: skip
def test_other_files_are_counted(tmp_path: Path, name: str, content: bytes) -> None:
    """A file of another form is skipped, and the folders give the classes."""
    make(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / name).write_bytes(content)
    source = open_source(str(tmp_path))
    assert [record.label for record in source] == ["cat", "dog"]
    assert source.skipped == {Path(name).suffix: 1}
    assert not source.notes


class CountedPath(str):
    """Path that counts how often it is compared with the start of another text."""

    __slots__ = ()
    n_compared = 0

    def startswith(self, *args: Any) -> bool:
        CountedPath.n_compared += 1
        return super().startswith(*args)


def test_many_files_of_labels_take_linear_time() -> None:
    """Each label file is applied to the images of its own folder only."""
    names = [f"{i}/{j}.png" for i in range(200) for j in range(2)]
    records = [ImageRecord(CountedPath(name), FileBytes(name)) for name in names]
    entry = b'{"0.png": {"label": "FAKE"}}'
    files = [
        LabelFile(f"{i}/metadata.json", f"{i}/metadata.json", lambda: entry) for i in range(200)
    ]
    labelled = with_label_files(records, files, Counter(), keeps_others=False)
    assert [record.label for record in labelled.records] == ["fake", ""] * 200
    assert CountedPath.n_compared < 10 * len(names)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,label,note\ncat/1.png,b,\xe9\n", "cannot be read as a table.*UTF-8"),
        (b"\xff\xfe\x00", "cannot be read as a table"),
        (b"", "cannot be read as a table"),
        (b"path,label\ncat/1.png,b,,\n", "more fields than its header"),
        (b"path" + b"," * 150_000 + b"\n", "150001 columns, but at most 10000"),
        (b"path,label,label\ncat/1.png,b,c\n", "two columns named 'label'"),
        (b"path,label,Label\ncat/1.png,b,c\n", "several label columns: label, Label. Rename"),
        (b"path,label,group,Group\ncat/1.png,b,c,d\n", "several group columns"),
    ],
)
def test_tables_that_cannot_be_read_are_errors(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """A damaged table is an error, and folder names do not replace its labels."""
    make(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(ClipfeatError, match=rf"labels\.csv.*{message}"):
        open_source(str(tmp_path))


def test_pickle_files_are_never_read(tmp_path: Path) -> None:
    """Pickle files are counted but never read, and a note gives the reason."""
    make(tmp_path, "cat/1.png", "dog/2.png")
    marker = tmp_path / "marker"
    (tmp_path / "0_real.pickle").write_bytes(f"cos\nmkdir\n(S'{marker}'\ntR.".encode())
    source = open_source(str(tmp_path))
    assert not marker.exists()
    assert source.skipped == {".pickle": 1}
    assert "1 pickle files are not read" in source.notes[0]
