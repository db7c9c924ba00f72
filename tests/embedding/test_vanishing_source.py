"""Tests of sources that disappear: the run is a storage error, and committed rows are kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

import clipfeat
from clipfeat.embedding import pipeline
from clipfeat.embedding.run import EmbedRun
from clipfeat.errors import StorageError
from clipfeat.features import Failure
from clipfeat.images import open_source
from clipfeat.images.source import ImageSource
from clipfeat.store import FeatureWriter, load
from clipfeat.system.progress import silent
from tests.conftest import make_spec


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


def test_many_failures_share_the_checks_of_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are recorded in their order, also after Ctrl-C, and none if the folder is gone."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").touch()
    images = open_source(str(tmp_path / "images"))
    failures = [Failure(f"{i:04d}.png", "ReadError", "the file is empty") for i in range(2500)]
    n_checks = 0

    def check(self: ImageSource) -> None:
        nonlocal n_checks
        n_checks += 1
        if not (tmp_path / "images").exists():
            raise StorageError("gone")

    monkeypatch.setattr(ImageSource, "check_places", check)
    monkeypatch.setattr("clipfeat.embedding.run.RECORDED_AFTER", 1e9)
    with FeatureWriter(tmp_path / "out.h5", make_spec()) as writer:
        run = EmbedRun(writer, images, False, silent)
        with pytest.raises(KeyboardInterrupt), run.recording():
            for failure in failures:
                run.take(failure)
            assert (len(run.failures), run.counts["failed"]) == (2000, 2500)
            raise KeyboardInterrupt
        assert (n_checks, run.failures) == (3, failures)
    assert list(load(tmp_path / "out.h5").failures) == failures
    delete(tmp_path / "images")
    with (
        pytest.raises(StorageError, match="gone"),
        FeatureWriter(tmp_path / "new.h5", make_spec()) as writer,
        (run := EmbedRun(writer, images, False, silent)).recording(),
    ):
        run.take(failures[0])
    assert not list(tmp_path.glob("new.h5*"))
