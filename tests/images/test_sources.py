"""Tests of image sources: the contract of all sources, and the labels of each kind."""

import io
import json
import os
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clipfeat.errors import (
    ClipfeatError,
    ClipfeatWarning,
    DataError,
    EmptySourceError,
    LabelError,
    ReadError,
    RefusedFileError,
    UnknownNameError,
)
from clipfeat.images import SOURCES, open_source, source_kinds
from clipfeat.images.decode import decode
from clipfeat.images.manifest import TableColumns
from clipfeat.images.readers import FileBytes
from clipfeat.system import plugins


def write_tar(path: Path, members: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items() if isinstance(members, dict) else members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def as_folder(folder: Path) -> str:
    return str(folder)


def as_table(folder: Path) -> str:
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    table = pd.DataFrame({"path": paths, "label": [path.split("/")[0] for path in paths]})
    table.to_csv(folder / "table.csv", index=False)
    return str(folder / "table.csv")


def as_tars(folder: Path) -> str:
    paths = sorted(folder.rglob("*.png"))
    for shard in range(2):
        members: dict[str, bytes] = {}
        for path in paths[shard::2]:
            members[f"{path.stem}.png"] = path.read_bytes()
            members[f"{path.stem}.cls"] = path.parent.name.encode()
        write_tar(folder.parent / f"shard-{shard:03d}.tar", members)
    return str(folder.parent / "shard-{000..001}.tar")


def as_zips(folder: Path) -> str:
    paths = sorted(folder.rglob("*.png"))
    for shard in range(2):
        with zipfile.ZipFile(folder.parent / f"shard-{shard}.zip", "w") as archive:
            for path in paths[shard::2]:
                archive.write(path, path.relative_to(folder), 8 * shard)
    return str(folder.parent / "shard-{0..1}.zip")


def as_parquet(folder: Path) -> str:
    paths = sorted(folder.rglob("*.png"))
    for shard in range(2):
        images = [{"bytes": p.read_bytes(), "path": p.name} for p in paths[shard::2]]
        labels = [path.parent.name for path in paths[shard::2]]
        pq.write_table(
            pa.table({"image": images, "label": labels}),
            folder.parent / f"train-{shard:05d}-of-00002.parquet",
            row_group_size=5,
        )
    return str(folder.parent / "train-*.parquet")


def as_listing(folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.rglob("*.png"))]


def as_image(folder: Path) -> str:
    return as_listing(folder)[0]


def as_video(folder: Path) -> str:
    """Make a file with a video's suffix. Its content does not matter for listing."""
    return str(Path(as_image(folder)).rename(folder.parent / "a.mp4"))


def as_array_file(folder: Path) -> str:
    paths = sorted(folder.rglob("*.png"))
    images = np.stack([np.asarray(Image.open(path)) for path in paths])
    np.savez_compressed(folder.parent / "a.npz", images=images, y=[p.parent.name for p in paths])
    return str(folder.parent / "a.npz")


def as_hdf5(folder: Path) -> str:
    paths = sorted(folder.rglob("*.png"))
    with h5py.File(folder.parent / "a.h5", "w") as h5:
        h5["images"] = np.stack([np.asarray(Image.open(path)) for path in paths])
        h5["labels"] = [path.parent.name for path in paths]
    return str(folder.parent / "a.h5")


MAKERS: dict[str, Callable[[Path], str | list[str]]] = {
    "parquet": as_parquet,
    "folder": as_folder, "table": as_table, "webdataset": as_tars,
    "zip archive": as_zips, "array file": as_array_file, "HDF5 file": as_hdf5,
    "standard input": as_listing, "image": as_image, "video": as_video,
}  # fmt: skip


@pytest.mark.parametrize("kind", SOURCES)
def test_contract(kind: str, image_folder: Path) -> None:
    """Paths are unique and in a stable order. Records can be pickled and read their images."""
    known = {decode(path.read_bytes()).pixels.tobytes() for path in image_folder.rglob("*.png")}
    spec = MAKERS[kind](image_folder)
    source = open_source(spec)
    paths = [record.path for record in source]
    assert len(set(paths)) == len(paths) == (1 if kind in {"image", "video"} else 24)
    assert [record.path for record in open_source(spec)] == paths
    assert pickle.loads(pickle.dumps(list(source))) == list(source)
    assert {decode(record.reader.read()).pixels.tobytes() for record in source} <= known
    if kind not in {"standard input", "image", "video"}:
        assert sorted({record.label for record in source}) == ["fake", "real"]


def make(root: Path, *names: str) -> str:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(root)


def test_folders_are_classes(tmp_path: Path) -> None:
    """The first folder is the class. Images outside folders have no class."""
    spec = make(tmp_path, "cat/1.jpg", "cat/deep/2.PNG", "dog/1.webp", "3.jpg", "cat/notes.txt",
                ".hidden/4.jpg", "dog/.5.jpg")  # fmt: skip
    labels = {record.path: record.label for record in open_source(spec)}
    assert labels == {
        "3.jpg": "", "cat/1.jpg": "cat", "cat/deep/2.PNG": "cat", "dog/1.webp": "dog",
    }  # fmt: skip


@pytest.mark.parametrize("pair", [("real", "fake"), ("0_real", "1_fake"), ("nature", "ai")])
def test_detection_layouts_are_understood(tmp_path: Path, pair: tuple[str, str]) -> None:
    """Folders of real and fake images give the classes. The folders above give generators."""
    real, fake = pair
    spec = make(tmp_path, f"sd14/train/{real}/1.png", f"sd14/train/{fake}/1.png",
                f"biggan/val/{fake}/x/2.png")  # fmt: skip
    rows = {r.path: (r.label, dict(r.columns)) for r in open_source(spec)}
    assert rows[f"sd14/train/{real}/1.png"] == ("real", {"generator": "sd14", "split": "train"})
    assert rows[f"biggan/val/{fake}/x/2.png"] == ("fake", {"generator": "biggan", "split": "val"})


def test_a_class_named_nature_is_left_alone(tmp_path: Path) -> None:
    """Without a folder named ai, a folder named nature is an ordinary class."""
    spec = make(tmp_path, "nature/1.jpg", "city/1.jpg")
    assert {record.label for record in open_source(spec)} == {"nature", "city"}


def test_json_wins_over_cls(tmp_path: Path) -> None:
    """A label in a JSON file replaces the class number. Other simple values become columns."""
    about = {"label": "real", "group": "deer", "generator": None, "seed": 3}
    members = {"a.jpg": b"x", "a.cls": b"0", "a.json": json.dumps(about).encode(), "b.jpg": b"y"}
    tar = write_tar(tmp_path / "x.tar", members)
    first, second = open_source(str(tar))
    assert (first.label, first.group, first.columns) == ("real", "deer", (("seed", "3"),))
    assert (second.label, second.reader.read()) == ("", b"y")


def test_labels_from_a_table(tmp_path: Path) -> None:
    """A table can use paths, file names or stems. Its numbers are kept as text."""
    spec = make(tmp_path / "images", "a/1.png", "a/2.png", "b/3.png", "b/4.png")
    table = tmp_path / "labels.csv"
    table.write_text("id,target,site\na/1.png,01,x\n2.png,02,y\n3,01,z\n")
    source = open_source(spec, labels=table, columns=TableColumns(label="target"))
    assert [record.label for record in source] == ["01", "02", "01", ""]
    assert dict(source.records[0].columns) == {"site": "x", "target": "01"}
    table.write_text("id,label\nelsewhere,1\n")
    with pytest.raises(LabelError, match=r"images look like 'a/1\.png'"):
        open_source(spec, labels=table)


def test_parquet_is_a_table(image_folder: Path) -> None:
    """A Parquet table gives the same records as a CSV table."""
    spec = as_table(image_folder)
    pd.read_csv(spec).to_parquet(image_folder / "table.parquet")
    parquet = open_source(str(image_folder / "table.parquet"))
    assert list(parquet) == list(open_source(spec))


def test_several_sources_are_one(image_folder: Path) -> None:
    """Paths are relative to the common parent folder, so they are unique."""
    both = open_source([str(image_folder / "real"), str(image_folder / "fake")])
    assert both.root == str(image_folder)
    assert {record.path.split("/")[0] for record in both} == {"real", "fake"}


def test_an_absolute_file_beside_a_folder_is_read(image_folder: Path) -> None:
    """The absolute path of a file outside the current directory stays absolute."""
    file = min((image_folder / "fake").iterdir())
    first, *others = open_source([str(file), str(image_folder / "real")])
    assert first.path == str(file)
    assert first.reader.read() == file.read_bytes()
    assert {Path(record.path).parent.name for record in others} == {"real"}


@pytest.mark.parametrize(
    ("prepare", "error", "message"),
    [
        (lambda p: p / "none", EmptySourceError, "no such folder"),
        (lambda p: make(p / "empty", "notes.txt"), EmptySourceError, "no images in the folder"),
        (lambda p: f"{p}/x-{{0..3}}.tar", EmptySourceError, "4 of 4 shards are missing"),
        (lambda p: make(p, "bad.tar") + "/bad.tar", RefusedFileError, "cannot be read as a tar"),
        (lambda p: make(p, "t.csv") + "/t.csv", UnknownNameError, "--path-col"),
    ],
)
def test_bad_sources_are_errors(
    tmp_path: Path, prepare: Callable[[Path], object], error: type[ClipfeatError], message: str
) -> None:
    """Missing, empty and damaged sources are errors that name the source."""
    with pytest.raises(error, match=message):
        open_source(str(prepare(tmp_path)))


def test_a_missing_column_is_named(image_folder: Path) -> None:
    """The error for a missing column suggests the nearest existing one."""
    spec = as_table(image_folder)
    with pytest.raises(UnknownNameError, match=r"unknown label column .*did you mean label"):
        open_source(spec, columns=TableColumns(label="labl"))


def test_only_whole_regular_files_are_read(tmp_path: Path) -> None:
    """FIFOs, folders, empty files and missing files are errors."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    for name in ("pipe.jpg", "empty.jpg", "folder.jpg", "loop.jpg", "missing.jpg"):
        with pytest.raises(ReadError):
            FileBytes(str(tmp_path / name)).read()


def test_shards_of_one_name_in_two_folders(tmp_path: Path) -> None:
    """Samples of shards with equal names have different paths."""
    for folder in ("0", "1"):
        (tmp_path / folder).mkdir()
        write_tar(tmp_path / folder / "x.tar", {"a.jpg": folder.encode()})
    source = open_source(f"{tmp_path}/{{0..1}}/x.tar")
    assert [record.path for record in source] == ["0/x.tar/a.jpg", "1/x.tar/a.jpg"]


def test_patterns_of_shards_expand_as_in_a_shell(tmp_path: Path) -> None:
    """Patterns expand as in a shell, with zero padding and lists.

    An existing file with braces in its name is one shard.
    """
    for name in ("x-09", "x-10", "train", "val", "y{1..2}", "z{"):
        write_tar(tmp_path / f"{name}.tar", {"a.jpg": b"x"})
    patterns = {
        "x-{09..10}": ["x-09", "x-10"], "{train,val}": ["train", "val"],
        "y{1..2}": ["y{1..2}"], "z{": ["z{"],
    }  # fmt: skip
    for pattern, names in patterns.items():
        paths = [record.path for record in open_source(f"{tmp_path}/{pattern}.tar")]
        assert paths == [f"{name}.tar/a.jpg" for name in names]


def test_unreadable_sidecar_files_are_reported(tmp_path: Path) -> None:
    """Captions are not classes. A sample with an unreadable side-car is unlabelled."""
    members = {"a.jpg": b"x", "a.txt": b"a photo of a cat", "b.jpg": b"y", "b.json": b"[1]",
               "README.txt": "Grüße".encode("latin-1"), "c.jpg": b"z", "c.json": b"{",
               "d.jpg": b"u", "d.cls": "Grün".encode("latin-1"), "e.cls": b"1"}  # fmt: skip
    tar = write_tar(tmp_path / "x.tar", members)
    with pytest.warns(ClipfeatWarning, match="3 side-cars of .* cannot be read"):
        source = open_source(str(tar))
    assert source.skipped["side-car without an image"] == 1
    assert [record.label for record in source] == ["", "", "", ""]


def test_one_path_with_two_labels_is_an_error(tmp_path: Path) -> None:
    """A table with two labels for one path is refused."""
    (tmp_path / "t.csv").write_text("path,label\na.png,cat\na.png,dog\n")
    with pytest.raises(LabelError, match="twice, with the labels 'cat' and 'dog'"):
        open_source(str(tmp_path / "t.csv"))


def test_one_image_with_two_rows(tmp_path: Path) -> None:
    """Repeated rows of an image must agree in the group. The first row gives the other columns."""
    table = tmp_path / "t.csv"
    table.write_text("path,label,group,site\na.png,cat,x,1\nb.png,cat,x,1\na.png,cat,x,2\n,cat,,\n")
    with pytest.warns(ClipfeatWarning, match=r"different values \(columns: site\)"):
        source = open_source(str(table))
    assert source.rows == ("a.png", "b.png", "a.png", "")
    assert source.skipped == {"row without a path": 1}
    assert dict(source.records[0].columns) == {"site": "1"}
    table.write_text("path,label,group\na.png,cat,x\na.png,cat,y\n")
    with pytest.raises(LabelError, match="twice, with the groups 'x' and 'y'"):
        open_source(str(table))
    folder = make(tmp_path / "images", "cat/a.png", "cat/b.png")
    table.write_text("id,label\na,cat\na.png,dog\n")
    with pytest.raises(LabelError, match="twice, with the labels 'cat' and 'dog'"):
        open_source(folder, labels=table)


@pytest.mark.parametrize(
    ("first", "again", "error"),
    [
        (("a.png", b"x"), ("a.png", b"y"), "two members named 'a.png' with different contents"),
        (("a.cls", b"cat"), ("./a.cls", b"dog"), "two members named 'a.cls'"),
        (("a.cls", b"cat"), ("a.json", b'{"label": "dog"}'), "the label 'cat' in its .cls file"),
        (("a.png", b"x"), ("a.png", b"x"), ""),
        (("a.cls", b"cat"), ("a.cls", b"cat"), ""),
        (("a.cls", b"1"), ("a.json", b'{"label": true}'), ""),
    ],
)
def test_repeated_members_of_a_tar(
    tmp_path: Path, first: tuple[str, bytes], again: tuple[str, bytes], error: str
) -> None:
    """Repeated members and repeated labels of one image must be equal."""
    members = [first, ("a.png", b"x"), again] if "png" not in first[0] else [first, again]
    tar = str(write_tar(tmp_path / "x.tar", members))
    if error:
        with pytest.raises(DataError, match=error):
            open_source(tar)
    else:
        assert len(open_source(tar)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "File Name,Is_Fake\nimages/a.png, 1 \nimages/b.png,0.0\n",
        "\ufeffimage_path;Category\nimages/a.png;True\nimages/b.png;FALSE\n",
        "img\tgenerated\nimages/a.png\t1.0\nimages/b.png\t0\n",
        ",id,TARGET\n7,images/a.png,true\n8,images/b.png,false\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_usual_tables_are_recognised(tmp_path: Path, text: str, encoding: str) -> None:
    """Any usual column names, separators, encodings and spellings of 0 and 1 work."""
    (tmp_path / "t.csv").write_text(text, encoding=encoding)
    source = open_source(str(tmp_path / "t.csv"))
    assert [(r.path, r.label) for r in source] == [("images/a.png", "1"), ("images/b.png", "0")]


def test_missing_values_of_a_table(tmp_path: Path) -> None:
    """NaN, None and blank text mean no label and no group, in CSV and in Parquet."""
    rows = pd.DataFrame(
        {"path": list("abcd"), "label": [1.0, None, 0.0, None], "group": [None] * 4}
    )
    rows.to_parquet(tmp_path / "t.parquet")
    rows.assign(label=["1", "NaN", " 0", "None"], group="nan").to_csv(
        tmp_path / "t.csv", index=False
    )
    for name in ("t.csv", "t.parquet"):
        source = open_source(str(tmp_path / name))
        assert [(r.label, r.group) for r in source] == [("1", ""), ("", ""), ("0", ""), ("", "")]


def test_an_unknown_label_column_is_named(tmp_path: Path) -> None:
    """--labels needs a label column. A source table without one causes a warning."""
    folder = make(tmp_path / "images", "cat/a.png")
    (tmp_path / "t.csv").write_text("id,species\na,cat\n")
    with pytest.raises(UnknownNameError, match=r"\(columns: id, species\). Pass .* --label-col"):
        open_source(folder, labels=tmp_path / "t.csv")
    with pytest.warns(ClipfeatWarning, match="its images are unlabelled"):
        open_source(str(tmp_path / "t.csv"))


def test_a_group_column_keeps_its_name(tmp_path: Path) -> None:
    """The column that gives the groups is kept as a column."""
    (tmp_path / "t.csv").write_text("path,label,generator\na.png,cat,sdxl\n")
    (record,) = open_source(str(tmp_path / "t.csv"), columns=TableColumns(group="generator"))
    assert (record.group, record.columns) == ("sdxl", (("generator", "sdxl"),))


def test_tables_are_read_as_they_are_written(tmp_path: Path) -> None:
    """Rows wider than the header are refused. Integers in Parquet files stay integers."""
    (tmp_path / "t.csv").write_text("path,label\na.png,cat,\nb.png,dog,\n")
    with pytest.raises(RefusedFileError, match="more fields than its header"):
        open_source(str(tmp_path / "t.csv"))
    table = pd.DataFrame({"path": ["a.png", "b.png"], "label": [1.0, None]})
    table.to_parquet(tmp_path / "t.parquet")
    assert [r.label for r in open_source(str(tmp_path / "t.parquet"))] == ["1", ""]


def test_names_that_are_not_text_are_escaped(tmp_path: Path) -> None:
    """A file name that is not UTF-8 is escaped in the path, and the file is read."""
    (tmp_path / os.fsdecode(b"b\xff.png")).write_bytes(b"x")
    (record,) = open_source(str(tmp_path))
    assert record.path == "b\\xff.png"
    assert record.reader.read() == b"x"


PLUGIN = """
from pathlib import Path

from clipfeat.images import SourceKind
from clipfeat.images.readers import FileBytes
from clipfeat.system import plugins
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import make_source


def open_album(spec, columns):
    names = Path(spec).read_text().split()
    records = [ImageRecord(name, FileBytes(str(Path(spec).parent / name))) for name in names]
    return make_source(f"the album {spec}", str(Path(spec).parent), records)


album = SourceKind(lambda spec: spec.endswith(".album"), open_album)
greedy = SourceKind(lambda spec: True, open_album)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a package with two entry points on the path, like an installer."""
    folder = tmp_path / "site"
    info = folder / "albums-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "albums.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: albums\nVersion: 1.0\n")
    points = "[clipfeat.sources]\nalbum = albums:album\ngreedy = albums:greedy\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(folder)
    plugins._plugins.cache_clear()
    yield
    plugins._plugins.cache_clear()
    sys.modules.pop("albums", None)


@pytest.mark.usefixtures("plugin")
def test_plugin_sources_follow_the_built_in_ones(image_folder: Path, tmp_path: Path) -> None:
    """A plug-in opens the paths that no built-in source accepts."""
    assert list(source_kinds()) == [*SOURCES, "album", "greedy"]
    make(tmp_path, "a.jpg")
    (tmp_path / "x.album").write_text("a.jpg")
    (record,) = open_source(str(tmp_path / "x.album"))
    assert (record.path, record.reader.read()) == ("a.jpg", b"x")
    assert len(open_source(str(image_folder))) == 24


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Feature files and compressed archives are refused as sources."""
    for name in ("a.h5", "x.tar.gz"):
        (tmp_path / name).touch()
        with pytest.raises(ClipfeatError, match="is not a folder, table"):
            open_source(str(tmp_path / name))


def test_tables_of_other_programs(tmp_path: Path) -> None:
    """Old line ends, bars, spaces around paths and a pandas index are accepted."""
    make(tmp_path, "i/a.png", "i/ b.png")
    for text in (
        "path,label\ri/a.png,0\ri/ b.png,1\r",
        "path|label\n i/a.png |0\ni/ b.png|1\n  |1\n",
        "path;label;score\r\ni/a.png;0;0,5\r\ni/ b.png;1;0,5\r\n",
    ):
        (tmp_path / "t.csv").write_bytes(text.encode())
        source = open_source(tmp_path / "t.csv")
        assert [(r.path, r.label) for r in source] == [("i/a.png", "0"), ("i/ b.png", "1")]
    table = pd.DataFrame({"path": ["i/a.png"], "label": pd.Categorical([True])}).set_index("path")
    table.to_parquet(tmp_path / "t.parquet")
    assert [record.label for record in open_source(tmp_path / "t.parquet")] == ["1"]
    (tmp_path / "t.csv").write_text(f"path,{'x' * 200_000}\ni/a.png,1\n")
    with pytest.raises(RefusedFileError, match="cannot be read as a table: field larger"):
        open_source(tmp_path / "t.csv")


def test_labels_with_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label tables may use absolute paths, or be relative to their folder or the current one."""
    images = make(tmp_path / "data" / "train", "a.png", "b.png")
    table = tmp_path / "data" / "l.csv"
    monkeypatch.chdir(tmp_path)
    for above in ("train", "data/train", images):
        table.write_text(f"path,label\n{above}/a.png,0\n{above}/c.png,1\n")
        source = open_source(images, labels=table)
        assert [record.label for record in source] == ["0", ""]
        assert source.skipped == {"row of labels without an image": 1}
    table.write_text("path,label\nC:\\x\\a.png,0\n")
    with pytest.raises(LabelError, match="Leave out the folders of the names"):
        open_source(images, labels=table)
