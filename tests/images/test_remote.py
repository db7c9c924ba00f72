"""Tests of sources and outputs on object stores, compared with local ones."""

import shutil
import tarfile
import uuid
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipfeat import embed, load
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import ReadError, StorageError, UsageError
from clipfeat.images import open_source, readers
from clipfeat.images.readers import RemoteObject
from clipfeat.store import verify
from clipfeat.store.generations import newest_generation
from clipfeat.system.locations import location


@pytest.fixture(scope="module")
def local_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of two classes, a tar of one class, and a table of images."""
    folder = tmp_path_factory.mktemp("local_folder")
    make_folder(folder / "images")
    with tarfile.open(folder / "a-0.tar", "w") as tar:
        for path in sorted((folder / "images" / "cat").iterdir()):
            tar.add(path, f"{path.stem}.png")
    with zipfile.ZipFile(folder / "a-0.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.glob("images/*/*.png")):
            archive.write(path, path.relative_to(folder))
    (folder / "rows").mkdir()
    for part in ("train", "test"):
        paths = sorted(folder.glob("images/*/*.png"))
        images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
        table = pa.table({"image": images, "label": [f"{part}{i}" for i in range(len(images))]})
        pq.write_table(table, folder / "rows" / f"{part}.parquet", row_group_size=2)
    lines = [f"images/cat/{i}.png,a" for i in range(3)]
    (folder / "table.csv").write_text("\n".join(["path,label", *lines]))
    return folder


def make_folder(folder: Path) -> None:
    rng = np.random.default_rng(0)
    from PIL import Image

    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    (folder / ".hidden").mkdir()
    shutil.copy(folder / "cat" / "0.png", folder / ".hidden" / "0.png")
    (folder / "dog" / "bad.png").write_text("text")


@pytest.fixture(params=["memory", "s3"])
def remote_folder(request: pytest.FixtureRequest, local_folder: Path) -> str:
    """Copy the local files to an object store."""
    root = "memory:/" if request.param == "memory" else request.getfixturevalue("s3")
    url = f"{root}/{uuid.uuid4().hex}"
    of: Any = location(url)
    of.fs.put(f"{local_folder}/", of.path + "/", recursive=True)
    return url


@pytest.mark.parametrize(
    "name",
    ["images", "a-0.tar", "a-{0..0}.tar", "a-*.tar", "a-{0..0}.zip", "a-?.zip", "table.csv", "rows",
     "rows/t*.parquet", "rows/test.parquet"],
)  # fmt: skip
def test_a_source_lists_the_same(remote_folder: str, local_folder: Path, name: str) -> None:
    """Every kind of source has the same paths, labels and bytes as its local copy."""
    remote, local = open_source(f"{remote_folder}/{name}"), open_source(local_folder / name)
    assert [(r.path, r.label, r.reader.read()) for r in remote] == [
        (r.path, r.label, r.reader.read()) for r in local
    ]


def test_embedding_from_and_to_an_object_store(
    remote_folder: str, local_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results equal a local run's, and unchanged objects are not read again."""
    embed(
        local_folder / "images",
        tmp_path / "out.h5",
        encoder="spectrum",
        options=EncoderOptions(device="cpu"),
    )
    expected = load(tmp_path / "out.h5")
    out = f"{remote_folder}/features/out.h5"
    first = embed(
        f"{remote_folder}/images", out, encoder="spectrum", options=EncoderOptions(device="cpu")
    )
    assert (first.progress.encoded, first.progress.failed) == (8, 1)
    features = load(out)
    assert np.array_equal(features.X, expected.X)
    assert features.paths.tolist() == expected.paths.tolist()
    assert features.labels.tolist() == expected.labels.tolist()
    assert [f.path for f in features.failures] == [f.path for f in expected.failures]
    assert verify(out).n_rows == 8
    before = newest_generation(location(out))

    of: Any = location(f"{remote_folder}/images/dog/9.png")
    of.write_bytes((local_folder / "images" / "dog" / "0.png").read_bytes() + b"more")
    read: list[str] = []

    def recording(reader: RemoteObject) -> bytes:
        read.append(reader.url)
        return original(reader)

    # An object store's clock is coarse, so recently written objects would be read again.
    monkeypatch.setattr("clipfeat.store.stat_cache.TRUSTED_AFTER_NS", -(10**12))
    original = RemoteObject.read
    monkeypatch.setattr(RemoteObject, "read", recording)
    again = embed(
        f"{remote_folder}/images", out, encoder="spectrum", options=EncoderOptions(device="cpu")
    )
    assert (again.progress.encoded, again.progress.known) == (1, 8)
    assert read == [f"{remote_folder}/images/dog/9.png"]
    after = newest_generation(location(out))
    assert before is not None
    assert after is not None
    assert after.number == before.number + 1


def test_a_table_names_objects(remote_folder: str, local_folder: Path, tmp_path: Path) -> None:
    """A local table can list images on an object store."""
    table = tmp_path / "table.csv"
    table.write_text(
        f"url,label\n{remote_folder}/images/cat/1.png,cat\n{remote_folder}/images/none.png,cat\n"
    )
    from clipfeat.images.manifest import TableColumns

    source = open_source(table, columns=TableColumns(path="url"), allow_remote=True)
    assert (
        source.records[0].reader.read() == (local_folder / "images" / "cat" / "1.png").read_bytes()
    )
    with pytest.raises(ReadError):
        source.records[1].reader.read()


def test_objects_that_are_not_images(remote_folder: str) -> None:
    """Empty, truncated and oversized objects are failures of single images."""
    of: Any = location(f"{remote_folder}/empty.png")
    of.write_bytes(b"")
    with pytest.raises(ReadError, match="the file is empty"):
        RemoteObject(str(of)).read()
    with pytest.raises(ReadError, match="bytes, expected 10000000"):
        RemoteObject(f"{remote_folder}/images/cat/0.png", 10, 10_000_000).read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "MAX_BYTES", 10)
        with pytest.raises(ReadError, match="more bytes than the limit"):
            RemoteObject(f"{remote_folder}/images/cat/0.png").read()


def test_a_store_that_does_not_answer_ends_the_run(
    remote_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No image is recorded as failed, and the next run continues."""
    out = f"{remote_folder}/out.h5"

    def unreachable(*_: object, **__: object) -> bytes:
        raise TimeoutError("no answer")

    of: Any = location(remote_folder)
    with monkeypatch.context() as patch:
        patch.setattr(type(of.fs), "cat_file", unreachable)
        # Asynchronous file systems define it per instance.
        patch.setattr(of.fs, "cat_file", unreachable)
        with pytest.raises(StorageError, match=r"reading .*images/cat/0.png.*no answer"):
            embed(
                f"{remote_folder}/images",
                out,
                encoder="spectrum",
                options=EncoderOptions(device="cpu"),
                resources=EmbedResources(num_workers=1),
            )
    done = embed(
        f"{remote_folder}/images", out, encoder="spectrum", options=EncoderOptions(device="cpu")
    )
    assert (done.progress.encoded, done.progress.failed) == (8, 1)


def test_remote_videos_are_refused(remote_folder: str) -> None:
    """A video on an object store is an error that says to download it."""
    of: Any = location(f"{remote_folder}/clips/a.mp4")
    of.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"Download .*clips/a.mp4"):
        embed(f"{remote_folder}/clips", f"{remote_folder}/out.h5", encoder="spectrum")
