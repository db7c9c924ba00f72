"""Tests of hostile zip archives: bombs, wrong sizes or checksums, and damaged directories."""

import io
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from clipfeat.errors import ReadError, RefusedFileError
from clipfeat.images import open_source, readers
from tests.images.test_zip_archive import write_zip

DIRECTORY, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"


def archive(data: bytes = b"data" * 200, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive with one member, ``a.png``."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as opened:
        opened.writestr("a.png", data)
    return file.getvalue()


def changed(content: bytes, signature: bytes, offset: int, value: int, kind: str = "<I") -> bytes:
    """Return an archive with one value changed in the last record of a kind."""
    edited = bytearray(content)
    struct.pack_into(kind, edited, content.rindex(signature) + offset, value)
    return bytes(edited)


DAMAGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "checksum": (lambda: changed(archive(), DIRECTORY, 16, 7), "CRC-32 checksum is wrong"),
    "smaller size": (lambda: changed(archive(), DIRECTORY, 24, 799), "more bytes than the 799"),
    "larger size": (lambda: changed(archive(), DIRECTORY, 24, 801), "fewer bytes than the 801"),
    "huge size": (lambda: changed(archive(), DIRECTORY, 24, 2**32 - 2), "4294967294 bytes, more"),
    "huge packed": (lambda: changed(archive(), DIRECTORY, 20, 2**28 + 1), "268435457 bytes, more"),
    "packed size": (lambda: changed(archive(), DIRECTORY, 20, 900), "the member is truncated"),
    "offset": (lambda: changed(archive(), DIRECTORY, 42, 5), "no local header at byte 5"),
    "far offset": (lambda: changed(archive(), DIRECTORY, 42, 2**31), "no local header at byte"),
    "local names": (lambda: changed(archive(), LOCAL, 26, 65535, "<H"), "the member is truncated"),
    "encrypted": (lambda: changed(archive(), DIRECTORY, 8, 1, "<H"), "the member is encrypted"),
    "Deflate64": (lambda: changed(archive(), DIRECTORY, 10, 9, "<H"), "compression Deflate64 of"),
    "method": (lambda: changed(archive(), DIRECTORY, 10, 77, "<H"), "with the number 77 of the"),
    "bzip2": (lambda: changed(archive(), DIRECTORY, 10, 12, "<H"), "the member is damaged"),
    "LZMA": (lambda: changed(archive(), DIRECTORY, 10, 14, "<H"), "LZMA properties are wrong"),
    "deflate": (lambda: archive().replace(LOCAL, b"PK\3\5", 1), "no local header at byte 0"),
    "empty": (lambda: archive(b""), "the file is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_member_is_a_failure_of_its_image(case: str, tmp_path: Path) -> None:
    """The archive is listed, and reading the damaged member is an error."""
    make, message = DAMAGED[case]
    (tmp_path / "x.zip").write_bytes(make())
    (record,) = open_source(str(tmp_path / "x.zip"))
    with pytest.raises(ReadError, match=message):
        record.reader.read()


@pytest.mark.parametrize("method", [8, 12, 14])
def test_unpacking_stops_at_the_claimed_size(tmp_path: Path, method: int) -> None:
    """A bomb that claims a small size needs little memory. An honest bomb is refused."""
    bomb = archive(bytes(2**22), method)
    (tmp_path / "x.zip").write_bytes(changed(bomb, DIRECTORY, 24, 1000))
    (record,) = open_source(str(tmp_path / "x.zip"))
    tracemalloc.start()
    with pytest.raises(ReadError, match="more bytes than the 1000"):
        record.reader.read()
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    (tmp_path / "x.zip").write_bytes(bomb)
    (record,) = open_source(str(tmp_path / "x.zip"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "MAX_BYTES", 2**20)
        with pytest.raises(ReadError, match="4194304 bytes, more than the limit of 1048576"):
            record.reader.read()


def test_only_the_start_of_a_member_is_read_to_recognise_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing reads only the first bytes of a member of unknown kind."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("a.bin", bytes(2**20))
        opened.writestr("b.bin", b"GIF89a" + bytes(2**20))
    sizes: list[int] = []

    def recording(file: str, offset: int, size: int) -> bytes:
        sizes.append(size)
        return readers.read_range(file, offset, size)

    monkeypatch.setattr("clipfeat.images.zip_members.read_range", recording)
    source = open_source(str(tmp_path / "x.zip"))
    assert [record.path for record in source] == ["x.zip/b.bin"]
    assert sum(sizes) < 2**19


UNREADABLE: dict[str, Callable[[], bytes]] = {
    "truncated": lambda: archive()[:-40],
    "text": lambda: b"text",
    "nothing": lambda: b"",
    "a million entries": lambda: changed(archive(), END, 12, 46 * 10**6),
    "directory offset": lambda: changed(archive(), END, 16, 2**32 - 2),
    "directory size": lambda: changed(archive(), END, 12, 1000),
    "directory": lambda: archive().replace(DIRECTORY, b"PK\1\3"),
    "version": lambda: changed(archive(), DIRECTORY, 6, 99, "<H"),
    "number of members": lambda: changed(archive(), END, 10, 2, "<H"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_damaged_directory_is_an_error(case: str, tmp_path: Path) -> None:
    """Whatever the directory claims, the error comes before anything is read."""
    (tmp_path / "x.zip").write_bytes(UNREADABLE[case]())
    start = time.monotonic()
    with pytest.raises(RefusedFileError, match="cannot be read as a zip archive"):
        open_source(str(tmp_path / "x.zip"))
    assert time.monotonic() - start < 2


def test_archives_with_bytes_before_them_are_read(tmp_path: Path) -> None:
    """Archives with a prefix, such as self-extracting ones, are read."""
    (tmp_path / "x.zip").write_bytes(b"#!/bin/sh\n" + archive(b"data"))
    (record,) = open_source(str(tmp_path / "x.zip"))
    assert record.reader.read() == b"data"


def test_long_headers_and_zip64_are_read(tmp_path: Path) -> None:
    """Long local headers and sizes in extra fields are supported."""
    path = tmp_path / "x.zip"
    info = zipfile.ZipInfo(f"{'a' * 2000}/b.png")
    with zipfile.ZipFile(path, "w") as opened, opened.open(info, "w", force_zip64=True) as member:
        member.write(b"data" * 500)
    (record,) = open_source(str(path))
    assert record.reader.read() == b"data" * 500


def test_a_reader_has_the_status_of_its_archive(tmp_path: Path) -> None:
    """Members have the file status of their archive, so an unchanged one is not read again."""
    paths = [tmp_path / "x.zip", tmp_path / "y.zip"]
    one, two = (open_source(write_zip(path, {"a.png": b"x"})).records[0].reader for path in paths)
    first, second = (path.stat() for path in paths)
    assert readers.stat_readers([one, two, one]) == [
        (status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)
        for status in (first, second, first)
    ]
