"""Tests of feature files with images of several folders."""

import io
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import clipfeat
from clipfeat.embedding import pipeline
from clipfeat.embedding.embed_report import EmbedReport
from clipfeat.errors import LockedError, UsageError
from clipfeat.images.source_options import SourceOptions

COLOURS = {"a": ["red", "green"], "b": ["blue", "white"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two subfolders that have equal relative paths, but different images."""
    for name, colours in COLOURS.items():
        for label, colour in zip(("x", "y"), colours, strict=True):
            path = tmp_path / "data" / name / label / "1.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (16, 16), colour).save(path)
    return tmp_path / "data"


def embed(source: Path | list[Path], out: Path, **options: object) -> EmbedReport:
    return clipfeat.embed(source, out, encoder="spectrum", **options)


def rows(out: Path) -> dict[str, str]:
    features = clipfeat.load(out)
    return dict(zip(features.paths.tolist(), features.labels.tolist(), strict=True))


def test_a_second_folder_is_added(folder: Path) -> None:
    """Adding a folder gives the paths of one command with both, in either order."""
    out, both = folder / "out.h5", folder / "both.h5"
    embed(folder / "a", out)
    assert embed(folder / "b", out).progress.encoded == 2
    embed([folder / "a", folder / "b"], both)
    assert rows(out) == rows(both)
    assert list(rows(out)) == ["a/x/1.png", "a/y/1.png", "b/x/1.png", "b/y/1.png"]
    again = embed(folder / "a", out)
    assert (again.progress.encoded, again.progress.known, again.n_rows) == (0, 2, 4)
    assert again.absent == 0
    assert embed(folder, out).n_rows == 4


def test_prune_keeps_the_rows_of_other_folders(folder: Path) -> None:
    """Only rows and failures below the source's folder are deleted."""
    out = folder / "out.h5"
    (folder / "a" / "x" / "bad.png").write_text("text")
    embed(folder / "a", out)
    embed(folder / "b", out)
    (folder / "b" / "x" / "1.png").unlink()
    assert embed(folder / "b", out).absent == 1
    assert embed(folder / "b", out, prune=True).n_rows == 3
    assert "b/x/1.png" not in rows(out)
    assert [failure.path for failure in clipfeat.load(out).failures] == ["a/x/bad.png"]


def test_prune_keeps_the_rows_of_other_archives_and_tables(folder: Path) -> None:
    """Pruning an archive keeps other rows. Pruning with a table is refused."""
    out = folder / "out.h5"
    for name in ("a", "b"):
        shutil.make_archive(str(folder / name), "tar", folder / name)
        embed(folder / f"{name}.tar", out)
    (folder / "b" / "y" / "1.png").unlink()
    shutil.make_archive(str(folder / "b"), "tar", folder / "b")
    assert embed(folder / "b.tar", out).absent == 1
    assert embed(folder / "b.tar", out, prune=True).n_rows == 3
    (folder / "t.csv").write_text("path\na/x/1.png\n")
    assert embed(folder / "t.csv", out).absent == 0
    with pytest.raises(UsageError, match=r"--prune applies to folders .* the table .*t.csv"):
        embed(folder / "t.csv", out, prune=True)
    assert clipfeat.load(out).paths.tolist()[-1] == "a/x/1.png"
    assert len(clipfeat.load(out)) == 4


def test_prune_drops_numbered_rows_of_a_parquet_file(tmp_path: Path) -> None:
    """Removed rows like ``train.parquet#3`` are deleted, and those of other files are kept."""
    encoded = []
    for colour in COLOURS["a"] + COLOURS["b"]:
        file = io.BytesIO()
        Image.new("RGB", (16, 16), colour).save(file, "PNG")
        encoded.append(file.getvalue())
    train, test, out = (tmp_path / name for name in ("train.parquet", "test.parquet", "out.h5"))
    pq.write_table(pa.table({"image": encoded[:2], "label": ["x", "y"]}), test)
    pq.write_table(pa.table({"image": encoded, "label": ["x", "y", "x", "y"]}), train)
    embed(test, out)
    embed(train, out)
    pq.write_table(pa.table({"image": encoded[:2], "label": ["x", "y"]}), train)
    assert embed(train, out, prune=True).n_rows == 4
    assert list(rows(out)) == [f"{name}.parquet#{i}" for name in ("test", "train") for i in (0, 1)]


def test_a_moved_folder_keeps_its_paths(folder: Path) -> None:
    """A folder with the same images at the same paths counts as moved, any other as second."""
    out = folder / "out.h5"
    embed(folder / "a", out)
    (folder / "a").rename(folder / "c")
    moved = embed(folder / "c", out)
    assert (moved.progress.known, list(rows(out))) == (2, ["x/1.png", "y/1.png"])
    shutil.rmtree(folder / "c")
    assert embed(folder / "b", out).n_rows == 4
    assert set(rows(out)) == {f"{name}/{label}/1.png" for name in "cb" for label in "xy"}


def test_paths_of_views_and_tables_move_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second folder is added, the files and groups of views have the new paths."""
    monkeypatch.chdir(folder)  # a table may name files in the working folder
    out = folder / "out.h5"
    views = SourceOptions(views="hflip")
    embed(folder / "a", out, inputs=views)
    (folder / "lists").mkdir()
    (folder / "lists" / "t.csv").write_text("path,label\n../a/x/1.png,x\n../b/x/1.png,x\n")
    report = embed(folder / "lists" / "t.csv", out, inputs=views)
    assert (report.progress.known, report.progress.encoded, report.n_rows) == (2, 2, 6)
    features = clipfeat.load(out)
    assert all(
        path.startswith(file) and group == file
        for path, file, group in zip(
            features.paths, features.columns["file"], features.groups, strict=True
        )
    )


def test_a_file_without_rows_does_not_block(folder: Path) -> None:
    """If all images failed, the file accepts another folder and another encoder."""
    out = folder / "out.h5"
    (folder / "bad").mkdir()
    (folder / "bad" / "1.png").write_text("text")
    embed(folder / "bad", out)
    options = clipfeat.EncoderOptions(image_size=32)
    report = clipfeat.embed(folder / "b", out, encoder="spectrum", options=options)
    assert (report.n_rows, list(rows(out))) == (2, ["x/1.png", "y/1.png"])
    assert not clipfeat.load(out).failures


@pytest.mark.parametrize("has_rows", [True, False])
def test_no_other_command_writes_while_the_encoder_opens(
    has_rows: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is locked before the encoder opens, so no command can commit in between.

    Rows that another command commits in between would get wrong paths, or would be deleted.
    """
    out = folder / "out.h5"
    (folder / "c" / "x").mkdir(parents=True)
    shutil.copy(folder / "a" / "x" / "1.png", folder / "c" / "x")
    (folder / "bad" / "x").mkdir(parents=True)
    (folder / "bad" / "x" / "1.png").write_text("text")
    embed(folder / ("a" if has_rows else "bad"), out)
    opened = pipeline.open_engine

    def open_slowly(*arguments: object) -> object:
        monkeypatch.setattr(pipeline, "open_engine", opened)
        with pytest.raises(LockedError, match="is being written by process"):
            embed(folder / "b", out)
        return opened(*arguments)

    monkeypatch.setattr(pipeline, "open_engine", open_slowly)
    embed(folder / "c", out)
    assert pipeline.open_engine is opened
    embed(folder / "b", out)
    expected = {"b/x/1.png", "b/y/1.png", "c/x/1.png"}
    assert rows(out).keys() == expected | ({"a/x/1.png", "a/y/1.png"} if has_rows else set())
