"""Tests of sources that disappear: the run is a storage error, and committed rows are kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

import clipfeat
from clipfeat.embedding import pipeline
from clipfeat.errors import StorageError
from clipfeat.images.source import ImageSource


def unmount(images: Path) -> None:
    """Replace a folder by an empty one, like an unmounted file system."""
    images.rename(images.with_name("moved"))
    images.mkdir()


def delete(images: Path) -> None:
    images.rename(images.with_name("moved"))


@pytest.mark.parametrize("vanish", [unmount, delete])
def test_a_folder_that_disappears_during_a_run(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch, vanish: Callable[[Path], None]
) -> None:
    """Missing images are not recorded as failures, and ``prune`` deletes no row."""
    out = image_folder.with_name("out.h5")
    clipfeat.embed(image_folder, out, encoder="spectrum")
    (image_folder / "real" / "real-00.png").write_bytes(b"changed")
    opened = pipeline.open_inputs

    def vanishing(*args: object, **kwargs: object) -> ImageSource:
        source = opened(*args, **kwargs)
        vanish(image_folder)
        return source

    monkeypatch.setattr(pipeline, "open_inputs", vanishing)
    with pytest.raises(StorageError, match="does not exist or is empty now"):
        clipfeat.embed(image_folder, out, encoder="spectrum", prune=True)
    assert len(clipfeat.load(out)) == 24
    assert not clipfeat.load(out).failures


def test_a_missing_folder_of_a_table_keeps_its_rows(image_folder: Path) -> None:
    """Rows of a table's images are kept if their folder disappears."""
    table = image_folder.with_name("table.csv")
    names = sorted(path.name for path in (image_folder / "real").iterdir())
    table.write_text("path\n" + "".join(f"images/real/{name}\n" for name in names))
    out = image_folder.with_name("out.h5")
    clipfeat.embed(table, out, encoder="spectrum")
    delete(image_folder)
    with pytest.raises(StorageError, match=r"images/real, which contained images"):
        clipfeat.embed(table, out, encoder="spectrum")
    assert len(clipfeat.load(out)) == len(names)
