"""Tar files and their values from a stranger."""

import json
import tarfile
import time
from pathlib import Path

import pytest

from clipfeat.errors import ClipfeatError, ClipfeatWarning, RefusedFileError
from clipfeat.images import open_source
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


def with_pax(values: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return header("pax", len(values), kind) + padded(values) + header("b.png", 0)


HOSTILE = {
    "negative size": header("a.png", 4) + padded(b"data") + header("b.png", -1024),
    "negative sizes": header("a.txt", -1024) + header("b.png", -1024),
    "negative long name": header("x", -512, tarfile.GNUTYPE_LONGNAME) + header("b.png", 0),
    "negative pax size": with_pax(b"18 size=-00001024\n"),
    "negative global size": with_pax(b"18 size=-00001024\n", tarfile.XGLTYPE),
    "digits": with_pax(b"1" * 200_000),
    "many headers": header("x", 0, tarfile.XHDTYPE) * 5000,
    "huge header": header("x", 2**33 - 1, tarfile.GNUTYPE_LONGNAME),
    "huge member": header("a.png", 2**33 - 1),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_an_error(case: str, tmp_path: Path) -> None:
    """Each of these hung, needed gigabytes, or was a traceback, depending on Python's version."""
    file = tmp_path / "x.tar"
    file.write_bytes(HOSTILE[case] + bytes(2 * BLOCK))
    start = time.monotonic()
    try:
        records = list(open_source(str(file)))
    except ClipfeatError:
        records = []
    assert time.monotonic() - start < 2
    for record in records:
        with pytest.raises(ClipfeatError):
            record.reader.read()


def test_members_behind_a_damaged_header_are_reported(tmp_path: Path) -> None:
    """`tarfile` ends its list without an error."""
    file = tmp_path / "x.tar"
    whole = header("a.png", 4) + padded(b"data")
    file.write_bytes(whole + b"x" * BLOCK + whole.replace(b"a.png", b"b.png"))
    with pytest.warns(ClipfeatWarning, match="damaged header at byte 1024, so the members after"):
        assert [record.path for record in open_source(str(file))] == ["x.tar/a.png"]


@pytest.mark.parametrize(
    ("text", "label"),
    [(b"[" * 200_000, ""), (b'{"label": "\\ud800"}', "\\ud800"),
     (b'{"label": "a\\u0000b"}', "a\\x00b"), (b'{"label": 1e999}', "inf")],
    ids=["deep", "surrogate", "zero", "infinite"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:1 side-cars of .* cannot be read")
def test_values_that_cannot_be_stored_are_escaped(tmp_path: Path, text: bytes, label: str) -> None:
    """Deep JSON is ignored with a warning, and text of other kinds is escaped."""
    source = open_source(str(write_tar(tmp_path / "x.tar", {"a.png": b"x", "a.json": text})))
    assert [record.label for record in source] == [label]


@pytest.mark.parametrize(
    ("values", "message"),
    [({"label": "x" * 70_000}, "more than 65536 bytes"),
     ({f"k{i}": "v" for i in range(1500)}, "1500 columns, but .* at most 1000")],
)  # fmt: skip
def test_values_beyond_the_limits_of_a_feature_file(
    tmp_path: Path, values: dict[str, str], message: str
) -> None:
    """They are refused before the images are encoded, not when the file is read."""
    content = {"a.png": b"x", "a.json": json.dumps(values).encode()}
    with pytest.raises(RefusedFileError, match=message):
        open_source(str(write_tar(tmp_path / "x.tar", content)))
