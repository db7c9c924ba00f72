"""Tests of records in compressed blocks."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from clipfeat.errors import LabelError
from clipfeat.images import image_source, manifest, open_source, packed_records
from clipfeat.images.packed_records import PackedRecords, field_values, pack_records
from clipfeat.images.readers import (
    FileBytes,
    Reader,
    RemoteObject,
    TarMember,
    Unreadable,
    VideoFrame,
)
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import make_source
from clipfeat.images.webdataset import open_webdataset

RECORDS = [
    ImageRecord(f"{i}.png", TarMember("a.tar", 512 * i, i), "ab"[i % 2], "g", (("split", "x"),))
    for i in range(1000)
] + [ImageRecord("bad.png", Unreadable("no header"), view="hflip")]


def test_packed_records_are_a_sequence() -> None:
    """Items, slices and iteration equal those of a list."""
    packed = PackedRecords(iter(RECORDS))
    assert len(packed) == 1001
    assert list(packed) == RECORDS
    for index in (0, 255, 256, -1, -1001):
        assert packed[index] == RECORDS[index]
    for part in (
        slice(250, 520),
        slice(256, 512),
        slice(-3, None),
        slice(9, 3),
        slice(0, 900, 200),
    ):
        assert packed[part] == RECORDS[part]
    with pytest.raises(IndexError):
        packed[1001]
    assert sum(map(len, packed._blocks)) < 30 * len(packed)


READERS: dict[str, list[Reader]] = {
    "files": [FileBytes(f"/{i}.png") for i in range(300)],
    "objects": [RemoteObject(f"s3://a/{i}.png", i, of_several_hosts=True) for i in range(300)],
    "members": [TarMember("a.tar", 512 * i, i) for i in range(300)],
    "frames": [VideoFrame("a.mp4", i / 10) for i in range(300)],
    "several classes": [FileBytes("a.png"), TarMember("a.tar", 512, 9), Unreadable("no header")],
}


@pytest.mark.parametrize("readers", READERS.values(), ids=READERS.keys())
def test_readers_of_every_class_are_unpacked(readers: list[Reader]) -> None:
    """An unpacked reader equals the packed one, however often its class occurs."""
    records = [ImageRecord(f"{i}.png", reader) for i, reader in enumerate(readers)]
    packed = PackedRecords(iter(records))
    assert list(packed) == records
    assert [type(record.reader) for record in packed] == list(map(type, readers))


@pytest.mark.parametrize("name", ["path", "reader", "label", "columns", "view"])
def test_the_values_of_one_field_are_those_of_the_records(name: str) -> None:
    """The values of one field equal those of a list of records."""
    expected = [getattr(record, name) for record in RECORDS]
    assert list(field_values(PackedRecords(RECORDS), name)) == expected
    assert list(field_values(RECORDS, name)) == expected


def test_a_large_source_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated paths are still found. Images in memory are not copied."""
    monkeypatch.setattr(packed_records, "PACKED_ABOVE", 10)
    source = make_source("x", "", RECORDS)
    assert isinstance(source.records, PackedRecords)
    assert list(source) == RECORDS
    twice = make_source("x", "", [*RECORDS, RECORDS[3]])
    assert list(twice) == RECORDS
    assert twice.rows[-1] == "3.png"
    with pytest.raises(LabelError, match=r"lists 3\.png twice"):
        make_source("x", "", [*RECORDS, ImageRecord("3.png", RECORDS[3].reader, "a")])
    in_memory = image_source(np.zeros((12, 8, 8, 3), dtype=np.uint8))
    assert isinstance(in_memory.records, list)
    assert isinstance(pack_records(RECORDS[:10]), list)


def test_a_large_archive_gets_its_labels_from_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of the tar files do not count as folders that give labels."""
    for n in range(2):
        write_tar(tmp_path / f"{n}.tar", n)
    plain = open_webdataset(str(tmp_path / "{0..1}.tar"))
    monkeypatch.setattr(packed_records, "PACKED_ABOVE", 3)
    packed = open_webdataset(str(tmp_path / "{0..1}.tar"))
    assert isinstance(packed.records, PackedRecords)
    assert list(packed) == list(plain.records)
    assert {record.label for record in packed} == {"cat", "dog"}


def test_a_large_table_is_listed_like_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is read in blocks gives the same records.

    Addresses of two servers count as addresses of several, even if they are in different blocks.
    """
    rows = [f"a/{i}.png,{'ab'[i % 2]},{i},{i % 3}" for i in range(20)]
    rows += [" a/3.png ,b,3,0", ",a,x,1", "https://one/1.png,a,,", "https://two/1.png,b,,"]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["path,label,group,extra", *rows]))
    plain = open_source(str(path), allow_remote=True)
    monkeypatch.setattr(manifest, "ROWS", 3)
    monkeypatch.setattr(packed_records, "PACKED_ABOVE", 5)
    large = open_source(str(path), allow_remote=True)
    assert isinstance(large.records, PackedRecords)
    assert list(large) == list(plain)
    assert (large.rows, large.skipped) == (plain.rows, plain.skipped)
    servers = [r.reader for r in large if isinstance(r.reader, RemoteObject)]
    assert [reader.of_several_hosts for reader in servers] == [True, True]
    path.write_text("\n".join(["path,label,group,extra", *rows[:-1]]))
    alone = open_source(str(path), allow_remote=True).records[-1].reader
    assert isinstance(alone, RemoteObject) and not alone.of_several_hosts


def write_tar(path: Path, number: int) -> None:
    with tarfile.open(path, "w") as tar:
        for name in ("cat", "dog"):
            for i in range(3):
                info = tarfile.TarInfo(f"{name}/{number}-{i}.png")
                info.size = 3
                tar.addfile(info, io.BytesIO(b"abc"))
