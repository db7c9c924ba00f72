"""Columns of a source with reserved names, and columns of labels and groups."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from clipfeat.errors import ClipfeatWarning, UnknownNameError, UsageError
from clipfeat.features.column_names import OWN_COLUMNS, RESERVED
from clipfeat.images import open_source
from clipfeat.images.manifest import TableColumns
from clipfeat.images.source import ImageSource
from tests.images.test_sources import make, write_tar

NAMES = sorted(RESERVED - {"path", "label", "group"})
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
    """Every reserved name gets an underscore, and the column of labels keeps its name."""
    assert set(NAMES) == set(OWN_COLUMNS)
    with pytest.warns(ClipfeatWarning, match="face as face_, file as file_, time as time_"):
        source = open_it(tmp_path)
    assert [record.label for record in source] == ["0", "1"]
    for record, label in zip(source, "01", strict=True):
        assert dict(record.columns) == {
            "target": label, **{f"{name}_": value for name, value in VALUES.items()}
        }  # fmt: skip


def test_columns_named_like_fields(tmp_path: Path) -> None:
    """A column named label, path or group that has another role stays available."""
    (tmp_path / "t.csv").write_text("img,is_fake,site,label,group,path\na.png,1,x,cat,g,p\n")
    columns = TableColumns(label="is_fake", group="site", path="img")
    with pytest.warns(ClipfeatWarning, match="group as group_, label as label_, path as path_"):
        (record,) = open_source(tmp_path / "t.csv", columns=columns)
    assert (record.label, record.group) == ("1", "x")
    assert dict(record.columns) == {
        "is_fake": "1", "site": "x", "label_": "cat", "group_": "g", "path_": "p"
    }  # fmt: skip


def test_roles_of_columns_that_folders_give(tmp_path: Path) -> None:
    """Groups come from any column of a source, and unknown columns are errors."""
    spec = make(tmp_path / "d", "gan/real/1.png", "gan/fake/2.png", "sd/fake/3.png")
    source = open_source(spec, columns=TableColumns(group="Generator"))
    assert [record.group for record in source] == ["gan", "gan", "sd"]
    with pytest.raises(UnknownNameError, match="unknown label column of the folder"):
        open_source(spec, columns=TableColumns(label="truth"))
    with pytest.raises(UnknownNameError, match="unknown group column of the folder"):
        open_source(spec, columns=TableColumns(group="group"))
    with pytest.raises(UsageError, match="--path-col applies to tables"):
        open_source(spec, columns=TableColumns(path="x"))
