"""Images, tars, tables and outputs where fsspec reaches: the same rows as of files here."""

import shutil
import tarfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat import embed, load
from clipfeat.embedding.resources import EmbedResources
from clipfeat.encoders.options import EncoderOptions
from clipfeat.errors import ReadError, StorageError, UsageError
from clipfeat.images import open_source, readers
from clipfeat.images.readers import RemoteObject
from clipfeat.store import verify
from clipfeat.store.generations import newest_generation
from clipfeat.system.locations import location


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two classes, a tar of the same, and a table of both."""
    folder = tmp_path_factory.mktemp("here")
    make_folder(folder / "images")
    with tarfile.open(folder / "a-0.tar", "w") as tar:
        for path in sorted((folder / "images" / "cat").iterdir()):
            tar.add(path, f"{path.stem}.png")
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
def there(request: pytest.FixtureRequest, here: Path) -> str:
    """The same files on an object store."""
    root = "memory:/" if request.param == "memory" else request.getfixturevalue("s3")
    url = f"{root}/{uuid.uuid4().hex}"
    of: Any = location(url)
    of.fs.put(f"{here}/", of.path + "/", recursive=True)
    return url


@pytest.mark.parametrize("name", ["images", "a-0.tar", "a-{0..0}.tar", "table.csv"])
def test_a_source_lists_the_same(there: str, here: Path, name: str) -> None:
    """Paths, labels and bytes of every kind of source are those of the files here."""
    found, expected = open_source(f"{there}/{name}"), open_source(here / name)
    assert [(r.path, r.label, r.reader.read()) for r in found] == [
        (r.path, r.label, r.reader.read()) for r in expected
    ]


def test_there_to_there_and_on(
    there: str, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, labels and failures are the local run's; what has not changed is not read again."""
    embed(
        here / "images",
        tmp_path / "out.h5",
        encoder="spectrum",
        options=EncoderOptions(device="cpu"),
    )
    expected = load(tmp_path / "out.h5")
    out = f"{there}/features/out.h5"
    first = embed(f"{there}/images", out, encoder="spectrum", options=EncoderOptions(device="cpu"))
    assert (first.progress.encoded, first.progress.failed) == (8, 1)
    found = load(out)
    assert np.array_equal(found.X, expected.X)
    assert found.paths.tolist() == expected.paths.tolist()
    assert found.labels.tolist() == expected.labels.tolist()
    assert [f.path for f in found.failures] == [f.path for f in expected.failures]
    assert verify(out).n_rows == 8
    before = newest_generation(location(out))

    of: Any = location(f"{there}/images/dog/9.png")
    of.write_bytes((here / "images" / "dog" / "0.png").read_bytes() + b"more")
    read: list[str] = []

    def recording(reader: RemoteObject) -> bytes:
        read.append(reader.url)
        return original(reader)

    # Clocks of stores are coarse: what was written just now is read once more.
    monkeypatch.setattr("clipfeat.store.stat_cache.TRUSTED_AFTER_NS", -(10**12))
    original = RemoteObject.read
    monkeypatch.setattr(RemoteObject, "read", recording)
    again = embed(f"{there}/images", out, encoder="spectrum", options=EncoderOptions(device="cpu"))
    assert (again.progress.encoded, again.progress.known) == (1, 8)
    assert read == [f"{there}/images/dog/9.png"]
    after = newest_generation(location(out))
    assert before is not None
    assert after is not None
    assert after.number == before.number + 1


def test_a_table_names_objects(there: str, here: Path, tmp_path: Path) -> None:
    """A table here of images there, as data sets are published."""
    table = tmp_path / "table.csv"
    table.write_text(f"url,label\n{there}/images/cat/1.png,cat\n{there}/images/none.png,cat\n")
    from clipfeat.images.manifest import TableColumns

    source = open_source(table, columns=TableColumns(path="url"))
    assert source.records[0].reader.read() == (here / "images" / "cat" / "1.png").read_bytes()
    with pytest.raises(ReadError):
        source.records[1].reader.read()


def test_what_a_store_holds_that_is_no_image(there: str) -> None:
    """Nothing, less than was said, or too much: a failure of that object alone."""
    of: Any = location(f"{there}/empty.png")
    of.write_bytes(b"")
    with pytest.raises(ReadError, match="empty file"):
        RemoteObject(str(of)).read()
    with pytest.raises(ReadError, match="bytes where 10000000 were expected"):
        RemoteObject(f"{there}/images/cat/0.png", 10, 10_000_000).read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "MAX_BYTES", 10)
        with pytest.raises(ReadError, match="over the limit"):
            RemoteObject(f"{there}/images/cat/0.png").read()


def test_a_store_that_does_not_answer_ends_the_run(
    there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no image's fault: no failure is recorded, and the same command goes on later."""
    out = f"{there}/out.h5"

    def silent(*_: object, **__: object) -> bytes:
        raise TimeoutError("no answer")

    of: Any = location(there)
    with monkeypatch.context() as patch:
        patch.setattr(type(of.fs), "cat_file", silent)
        patch.setattr(of.fs, "cat_file", silent)  # an asynchronous one's is made for each
        with pytest.raises(StorageError, match=r"reading .*images/cat/0.png.*no answer"):
            embed(
                f"{there}/images",
                out,
                encoder="spectrum",
                options=EncoderOptions(device="cpu"),
                resources=EmbedResources(num_workers=1),
            )
    done = embed(f"{there}/images", out, encoder="spectrum", options=EncoderOptions(device="cpu"))
    assert (done.progress.encoded, done.progress.failed) == (8, 1)


def test_videos_are_read_here(there: str) -> None:
    """A video on an object store is refused by one sentence."""
    of: Any = location(f"{there}/clips/a.mp4")
    of.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"Download .*clips/a.mp4"):
        embed(f"{there}/clips", f"{there}/out.h5", encoder="spectrum")
