"""Tests of source columns with reserved names, and of columns for labels and groups."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clipfeat.errors import ClipfeatWarning, RefusedFileError, UnknownNameError, UsageError
from clipfeat.features.column_names import OWN_COLUMNS, RESERVED
from clipfeat.images import open_source
from clipfeat.images.manifest import TableColumns
from clipfeat.images.source import ImageSource
from clipfeat.store import FeatureWriter, Row, load
from tests.conftest import make_spec
from tests.images.test_sources import make, write_tar

NAMES = sorted(RESERVED - {"path", "label", "group", ""})
VALUES = {name: f"{name} of the user" for name in NAMES}


def as_csv(folder: Path) -> ImageSource:
    table = pd.DataFrame([{"image_path": "a.png", **VALUES}, {"image_path": "b.png", **VALUES}])
    table.assign(target=["0", "1"]).to_csv(folder / "t.csv", index=False)
    return open_source(folder / "t.csv", columns=TableColumns(label="target"))


def as_labels(folder: Path) -> ImageSource:
    as_csv(folder)
    images = make(folder / "images", "a.png", "b.png")
    return open_source(images, labels=folder / "t.csv", columns=TableColumns(label="target"))


def as_tar(folder: Path) -> ImageSource:
    about = {"target": 0, **VALUES}, {"target": 1, **VALUES}
    members = {"a.png": b"x", "a.json": about[0], "b.png": b"y", "b.json": about[1]}
    data = {n: v if isinstance(v, bytes) else json.dumps(v).encode() for n, v in members.items()}
    spec = write_tar(folder / "x.tar", data)
    return open_source(spec, columns=TableColumns(label="target"))


SOURCES: list[Callable[[Path], ImageSource]] = [as_csv, as_labels, as_tar]


@pytest.mark.parametrize("open_it", SOURCES)
def test_reserved_names_are_changed(open_it: Callable[[Path], ImageSource], tmp_path: Path) -> None:
    """A reserved column name gets an underscore. The label column keeps its name."""
    assert set(NAMES) == set(OWN_COLUMNS)
    with pytest.warns(ClipfeatWarning, match="face as face_, file as file_, time as time_"):
        source = open_it(tmp_path)
    assert [record.label for record in source] == ["0", "1"]
    for record, label in zip(source, "01", strict=True):
        assert dict(record.columns) == {
            "target": label, **{f"{name}_": value for name, value in VALUES.items()}
        }  # fmt: skip


def test_columns_named_like_fields(tmp_path: Path) -> None:
    """A column named label, path or group can be used, even if it has another role."""
    (tmp_path / "t.csv").write_text("img,is_fake,site,label,group,path\na.png,1,x,cat,g,p\n")
    columns = TableColumns(label="is_fake", group="site", path="img")
    with pytest.warns(ClipfeatWarning, match="group as group_, label as label_, path as path_"):
        (record,) = open_source(tmp_path / "t.csv", columns=columns)
    assert (record.label, record.group) == ("1", "x")
    assert dict(record.columns) == {
        "is_fake": "1", "site": "x", "label_": "cat", "group_": "g", "path_": "p"
    }  # fmt: skip


def test_roles_of_columns_that_folders_give(tmp_path: Path) -> None:
    """Any column of a source can give the groups. Unknown columns are errors."""
    spec = make(tmp_path / "d", "gan/real/1.png", "gan/fake/2.png", "sd/fake/3.png")
    source = open_source(spec, columns=TableColumns(group="Generator"))
    assert [record.group for record in source] == ["gan", "gan", "sd"]
    with pytest.raises(UnknownNameError, match="unknown label column of the folder"):
        open_source(spec, columns=TableColumns(label="truth"))
    with pytest.raises(UnknownNameError, match="unknown group column of the folder"):
        open_source(spec, columns=TableColumns(group="group"))
    with pytest.raises(UsageError, match="--path-col applies to tables"):
        open_source(spec, columns=TableColumns(path="x"))


LONG = {"caption": "\u00e9" * 35_000, "": "unnamed"}


@pytest.mark.filterwarnings("ignore:.* has columns with names that clipfeat uses")
@pytest.mark.parametrize("open_it", SOURCES)
def test_long_texts(
    open_it: Callable[[Path], ImageSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long values of further columns are shortened and counted, so the file can be read."""
    monkeypatch.setattr("tests.images.test_source_columns.VALUES", LONG)
    with pytest.warns(ClipfeatWarning, match="are shortened: 2 in column 'caption'"):
        source = open_it(tmp_path)
    columns = dict(source.records[1].columns)
    assert columns.keys() - {"Unnamed: 2"} <= {"target", "caption", "_"}
    assert columns["caption"].endswith("\u00e9\u2026")
    assert len(columns["caption"].encode()) <= 4096
    rows = [Row(r.path, bytes([i]) * 16, r.label, columns=r.columns) for i, r in enumerate(source)]
    with FeatureWriter(tmp_path / "out.h5", make_spec(n_features=2)) as writer:
        writer.append(rows, np.zeros((2, 2), dtype=np.float32))
        writer.finish()
    assert load(tmp_path / "out.h5").columns["caption"].tolist() == [columns["caption"]] * 2


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("x" * 1001, "1", "a name of more than 1000 bytes"),
        (",".join(f"k{i}" for i in range(1500)), ",".join("v" * 1500), "1500 columns, but"),
        ("group", "g" * 70_000, "more than 4096 bytes"),
    ],
    ids=["name", "columns", "group"],
)
def test_tables_beyond_the_limits(tmp_path: Path, header: str, cells: str, message: str) -> None:
    """Tables that a feature file could not store are refused before encoding."""
    images = make(tmp_path / "d", "a.png")
    (tmp_path / "t.csv").write_text(f"id,label,{header}\na,1,{cells}\n")
    for arguments in ((tmp_path / "t.csv", None), (images, tmp_path / "t.csv")):
        with pytest.raises(RefusedFileError, match=message):
            open_source(arguments[0], labels=arguments[1])


def test_usual_names_in_side_cars(tmp_path: Path) -> None:
    """Side-car files may write the label's name in capitals or use another usual name."""
    for name, labels in (("Label", "01"), ("is_fake", "01"), ("other", ["", ""])):
        members = {}
        for i, stem in enumerate("ab"):
            about = {name: i, "Group": stem}
            members |= {f"{stem}.png": b"x", f"{stem}.json": json.dumps(about).encode()}
        source = open_source(write_tar(tmp_path / f"{name}.tar", members))
        assert [record.label for record in source] == list(labels)
        assert [record.group for record in source] == ["a", "b"]
