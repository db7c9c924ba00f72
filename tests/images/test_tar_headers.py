"""Tests of hostile tar files and their values."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from clipfeat.errors import ClipfeatWarning, ReadError, RefusedFileError
from clipfeat.images import open_source, tar_headers
from clipfeat.images.tar_headers import members
from tests.images.test_sources import write_tar

BLOCK = tarfile.BLOCKSIZE


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return one block of a tar file. A negative size is written in base 256."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, max(size, 0)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if size < 0:
        block[124:136] = b"\xff" + (2**88 + size).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


DAMAGED = {
    "negative size": header("bad.png", -1024),
    "negative pax size": header("pax", 18, tarfile.XHDTYPE)
    + padded(b"18 size=-00001024\n") + header("bad.png", 0),
    "digits": header("pax", 200_000, tarfile.XHDTYPE)
    + padded(b"1" * 200_000) + header("bad.png", 4) + padded(b"data"),
    "size beyond the file": header("bad.png", 2**33 - 1) + padded(b"data"),
    "data that look like a header": header("bad.png", 2**33 - 1) + padded(b"ustar" * 300),
}  # fmt: skip
"""Members with a name and a damaged header."""
UNNAMED = {
    "no checksum": header("bad.png", 4)[:-100] + b"x" * 100 + padded(b"data"),
    "noise": b"x" * BLOCK,
    "zeros": bytes(BLOCK),
    "a page of zeros": bytes(8 * BLOCK),
    "negative long name": header("x", -512, tarfile.GNUTYPE_LONGNAME),
    "huge header": header("x", 2**33 - 1, tarfile.GNUTYPE_LONGNAME),
    "many headers": header("x", 0, tarfile.XHDTYPE) * 17,
}
"""Members whose name is unknown."""
MEMBERS = [("a.png", b"data"), ("a.cls", b"cat"), ("b.png", b"more"), ("b.cls", b"dog")]


def tar_with(path: Path, bad: bytes, place: int) -> Path:
    """Write a tar file of four good members, with a bad member inserted at `place`."""
    good = [header(name, len(data)) + padded(data) for name, data in MEMBERS]
    path.write_bytes(b"".join(good[:place]) + bad + b"".join(good[place:]) + bytes(2 * BLOCK))
    return path


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("case", DAMAGED)
def test_a_bad_member_is_one_failure(case: str, place: int, tmp_path: Path) -> None:
    """All other members are read, with their labels."""
    file = tar_with(tmp_path / "x.tar", DAMAGED[case], place)
    with pytest.warns(ClipfeatWarning, match="x.tar has 1 damaged header"):
        records = {record.path: record for record in open_source(str(file))}
    assert records.keys() == {"x.tar/a.png", "x.tar/b.png", "x.tar/bad.png"}
    assert [records[f"x.tar/{name}.png"].label for name in "ab"] == ["cat", "dog"]
    assert records["x.tar/b.png"].reader.read() == b"more"
    with pytest.raises(ReadError, match="the member cannot be read"):
        records["x.tar/bad.png"].reader.read()


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("case", UNNAMED)
def test_a_member_without_a_name_is_counted(case: str, place: int, tmp_path: Path) -> None:
    """A nameless member is counted, and the members after it are read."""
    file = tar_with(tmp_path / "x.tar", UNNAMED[case], place)
    with pytest.warns(ClipfeatWarning, match=r"x.tar has 1 damaged header. The first is at byte"):
        source = open_source(str(file))
    assert [record.path for record in source] == ["x.tar/a.png", "x.tar/b.png"]
    assert source.skipped == {"damaged tar header": 1}


@pytest.mark.parametrize("name", ["a.png", "bad.txt", ".hidden.png"])
def test_other_members_with_a_damaged_header_are_counted(name: str, tmp_path: Path) -> None:
    file = tar_with(tmp_path / "x.tar", header(name, -512), 4)
    with pytest.warns(ClipfeatWarning, match="1 damaged header"):
        source = open_source(str(file))
    assert len(source) == 2
    assert source.skipped == {"damaged tar header": 1}


def test_a_damaged_sidecar_is_reported(tmp_path: Path) -> None:
    """The image of a damaged side-car file has no label, and a note reports it."""
    file = tar_with(tmp_path / "x.tar", header("c.png", 1) + padded(b"x") + header("c.cls", -9), 4)
    with pytest.warns(ClipfeatWarning, match=r"1 damaged header|1 side-cars .* c.cls: .* damaged"):
        source = open_source(str(file))
    assert [record.label for record in source] == ["cat", "dog", ""]


def test_a_truncated_tar_file_keeps_its_rows(tmp_path: Path) -> None:
    """In a truncated file, only the last member fails. A partial header is counted."""
    image = b"x" * 5000
    whole = write_tar(tmp_path / "x.tar", {"a.png": b"data", "b.png": image}).read_bytes()
    file = tmp_path / "x.tar"
    for size, n_rows in ((3 * BLOCK + 700, 2), (2 * BLOCK + 300, 1)):
        file.write_bytes(whole[:size])
        with pytest.warns(ClipfeatWarning, match="1 damaged header"):
            source = open_source(str(file))
        assert len(source) == n_rows
        assert sum(source.skipped.values()) == 2 - n_rows


class CountingFile(io.BytesIO):
    """File object that counts the bytes that are read."""

    n_read = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.n_read += len(data)
        return data


@pytest.mark.parametrize(
    "bad", [header("x", 0, tarfile.XHDTYPE), header("a.png", 2**33 - 1)], ids=["pax", "size"]
)
def test_many_bad_headers_take_few_reads(bad: bytes, tmp_path: Path) -> None:
    """Many bad headers do not cause many repeated reads."""
    content = tar_with(tmp_path / "x.tar", bad * 2000, 2).read_bytes()
    file = CountingFile(content)
    with pytest.warns(ClipfeatWarning, match="damaged headers"):
        names = [member.name for _, member in members(file, "x.tar")]
    assert {name for name, _ in MEMBERS} <= set(names)
    assert file.n_read < 10 * len(content)


def test_a_file_without_headers_is_refused(tmp_path: Path) -> None:
    for content in (b"x" * 3000, b"\x1f\x8b" + bytes(2000)):
        (tmp_path / "x.tar").write_bytes(content)
        with pytest.raises(RefusedFileError, match="cannot be read as a tar file"):
            open_source(str(tmp_path / "x.tar"))


def test_a_sparse_member_is_not_an_image(tmp_path: Path) -> None:
    """A sparse member is skipped and counted, because its size is not that of its bytes."""
    sparse = header("s.png", 0, tarfile.GNUTYPE_SPARSE)
    source = open_source(str(tar_with(tmp_path / "x.tar", sparse, 2)))
    assert len(source) == 2
    assert source.skipped == {"special file": 1}


@pytest.mark.parametrize(
    ("text", "label"),
    [(b"[" * 200_000, ""), (b'{"label": "\\ud800"}', "\\ud800"),
     (b'{"label": "a\\u0000b"}', "a\\x00b"), (b'{"label": 1e999}', "inf")],
    ids=["deep", "surrogate", "zero", "infinite"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:1 side-cars of .* cannot be read")
def test_values_that_cannot_be_stored_are_escaped(tmp_path: Path, text: bytes, label: str) -> None:
    """Deeply nested JSON is ignored with a warning. Unusual text is escaped."""
    source = open_source(str(write_tar(tmp_path / "x.tar", {"a.png": b"x", "a.json": text})))
    assert [record.label for record in source] == [label]


@pytest.mark.parametrize(
    ("values", "message"),
    [({"label": "x" * 70_000}, "more than 4096 bytes"),
     ({f"k{i}": "v" for i in range(1500)}, "1500 columns, but .* at most 996")],
)  # fmt: skip
def test_values_beyond_the_limits_of_a_feature_file(
    tmp_path: Path, values: dict[str, str], message: str
) -> None:
    """Values above the limits are refused before encoding, not when the file is read."""
    content = {"a.png": b"x", "a.json": json.dumps(values).encode()}
    with pytest.raises(RefusedFileError, match=message):
        open_source(str(write_tar(tmp_path / "x.tar", content)))


def odd_header(path: str = "a.png", **fields: bytes) -> bytes:
    """Return a header with unusual bytes in a field, and a valid checksum."""
    block = bytearray(header(path, 5))
    places = {"mode": 100, "uid": 108, "size": 124, "mtime": 136, "type": 156, "name": 0}
    places |= {"linkname": 157, "magic": 257, "uname": 265, "devmajor": 329, "prefix": 345}
    for field, value in fields.items():
        block[places[field] : places[field] + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


HEADERS = {
    "usual": header("a.png", 5),
    "long name": header("d/" + "n" * 98, 5),
    "prefix": odd_header(prefix=b"above/folder"),
    "bytes that are not UTF-8": odd_header(name=b"\xff\xe9.png"),
    "slash at the end": odd_header("folder/"),
    "old type": odd_header("folder/", type=b"\0"),
    "spaces after numbers": odd_header(mode=b"0000644 ", mtime=b"00000000001 "),
    "spaces before numbers": odd_header(mode=b"   644 \0", size=b"        \x20 7\0"),
    "largest size": odd_header(size=b"77777777777\0"),
    "binary size": odd_header(size=b"\x80" + (2**40).to_bytes(11, "big")),
    "negative size": header("a.png", -5),
    "invalid owner": odd_header(uid=b"x000000\0"),
    "invalid time": odd_header(mtime=b"9" * 11 + b"\0"),
    "invalid device": odd_header(devmajor=b"x"),
    "without magic": odd_header(magic=bytes(8)),
    "high bytes": odd_header(uname=b"\xff" * 32),
    "folder": header("a", 0, tarfile.DIRTYPE),
    "link": header("a", 0, tarfile.SYMTYPE),
    "wrong checksum": header("a.png", 5)[:-1] + b"x",
    "short": header("a.png", 5)[:-1],
    "zeros": bytes(BLOCK),
}


@pytest.mark.parametrize("block", HEADERS.values(), ids=HEADERS.keys())
def test_a_header_is_read_as_by_tarfile(block: bytes) -> None:
    """Names, types, sizes and errors equal those of `tarfile`."""

    def read(function: Callable[..., tarfile.TarInfo], *arguments: str) -> object:
        try:
            member = function(block, *arguments)
        except tarfile.TarError as error:
            return type(error), str(error)
        return member.name, member.type, member.size, member.isreg(), member.issparse()

    expected = read(tarfile.TarInfo.frombuf, tarfile.ENCODING, "surrogateescape")
    assert read(tar_headers._frombuf) == expected


def test_signed_checksums_are_read() -> None:
    """Checksums of signed bytes, which old programs write, are accepted."""
    block = bytearray(odd_header(uname=b"\xff" * 32))
    block[148:156] = b"%06o\0 " % (int(block[148:154], 8) - 256 * 32)
    assert tar_headers._frombuf(bytes(block)).name == "a.png"
