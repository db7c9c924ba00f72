"""Read the members of zip archives that may be malicious or damaged.

The sizes in the directory of an archive may be wrong, and a member of a few bytes may unpack to
gigabytes. The sizes are therefore not trusted: a member is refused if it claims more than
`clipfeat.images.readers.MAX_BYTES`, and unpacking stops one byte after the claimed size.
"""

import bz2
import io
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from clipfeat.errors import ReadError, StorageError
from clipfeat.images import readers
from clipfeat.images.readers import FileReader, read_range
from clipfeat.images.shards import member_path

_HEADER = struct.Struct("<4s22xHH")
_HEADER_ROOM = 512
"""Number of bytes to read for the local header. Most local headers, with the name, are smaller."""
_HEAD_ROOM = 2**17
"""Number of compressed bytes to read in order to unpack the first bytes of a member."""
_END_ROOM = 22 + 2**16
"""Size of the end record of an archive, with the longest comment."""
_ENCRYPTED, _UTF8 = 0x1, 0x800
_METHODS = (
    zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA,
)  # fmt: skip
_METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 96: "JPEG", 98: "PPMd", 99: "AES"}


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool:
        """Whether the end of the compressed bytes was reached."""
        ...

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes:
        """Decompress at most `max_length` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class ZipMember(FileReader):
    """Reader of a member of a zip file, which may be on an object store.

    Parameters
    ----------
    file : str
        Path or URL of the zip file.
    offset : int
        Position of the member's local header in the zip file.
    compressed, size : int
        Number of bytes in the zip file, and after unpacking.
    crc : int
        CRC-32 of the unpacked bytes.
    method : int
        Compression: 0 (stored), 8 (deflate), 12 (bzip2) or 14 (LZMA).
    is_encrypted : bool
        Whether a password is needed.
    """

    offset: int
    compressed: int
    size: int
    crc: int
    method: int
    is_encrypted: bool = False

    def read(self) -> bytes:
        """Read and unpack the member.

        Raises
        ------
        ReadError
            If the zip file cannot be read. If the member is empty, larger than `MAX_BYTES`,
            encrypted or damaged, or if its compression is not supported.
        StorageError
            If an object store does not answer.
        """
        return self.read_at_most(readers.MAX_BYTES)

    def read_at_most(self, limit: int) -> bytes:
        """Read and unpack the member, unless it has more bytes than the limit. See `read`."""
        if self.is_encrypted:
            raise ReadError("the member is encrypted. Make an archive without a password")
        if self.method not in _METHODS:
            name = _METHOD_NAMES.get(self.method, f"with the number {self.method}")
            raise ReadError(
                f"the compression {name} of the member is not supported. Make an archive with "
                "deflate"
            )
        if not self.size:
            raise ReadError("the file is empty")
        if max(self.size, self.compressed) > limit:
            raise ReadError(
                f"the member has {max(self.size, self.compressed)} bytes, more than the limit of "
                f"{limit}"
            )
        packed = self._packed(self.compressed)
        try:
            data = _unpacked(packed, self.method, self.size)
        except (zlib.error, lzma.LZMAError, OSError, ValueError) as error:
            raise ReadError(f"the member is damaged: {error}") from error
        if len(data) != self.size:
            more_or_less = "more" if len(data) > self.size else "fewer"
            raise ReadError(
                f"the member is damaged: it has {more_or_less} bytes than the {self.size} that the "
                "archive's directory states"
            )
        if zlib.crc32(data) != self.crc:
            raise ReadError("the member is damaged: its CRC-32 checksum is wrong")
        return data

    def read_head(self, size: int) -> bytes:
        """Return the first bytes of the member, or no bytes if it cannot be read."""
        if self.is_encrypted or self.method not in _METHODS:
            return b""
        n_packed = min(self.compressed, _HEAD_ROOM)
        try:
            return _unpacked(self._packed(n_packed), self.method, size)[:size]
        except StorageError:
            raise
        except (zlib.error, lzma.LZMAError, OSError, ValueError):
            return b""

    def _packed(self, size: int) -> bytes:
        """Read the first compressed bytes, which follow the local header."""
        start = read_range(self.file, self.offset, min(size, 2**20) + _HEADER_ROOM)
        if len(start) < _HEADER.size or start[:4] != b"PK\3\4":
            raise ReadError(
                f"the member is damaged: there is no local header at byte {self.offset}"
            )
        _, n_name, n_extra = _HEADER.unpack_from(start)
        before = _HEADER.size + n_name + n_extra
        packed = start[before : before + size]
        if len(packed) < size:
            at = self.offset + before + len(packed)
            packed += read_range(self.file, at, size - len(packed))
        if len(packed) < size:
            raise ReadError(f"the member is truncated: it has {len(packed)} bytes, expected {size}")
        return packed


def zip_members(file: IO[bytes], name: str) -> Iterator[tuple[str, str, ZipMember]]:
    """Yield the files in a zip archive, in the order of its directory.

    Parameters
    ----------
    file : binary file
        The zip archive.
    name : str
        Its path or URL, for the readers.

    Yields
    ------
    path : str
        Path in the archive with forward slashes, without a drive, ``.`` and ``..``.
    kind : str
        Empty for a regular file, ``"link"`` for a symbolic link.
    reader : ZipMember
        Reader of the member.

    Raises
    ------
    zipfile.BadZipFile, struct.error, ValueError or OverflowError
        If the directory of the archive cannot be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except NotImplementedError as error:
        raise zipfile.BadZipFile(str(error)) from error
    if (claimed := _claimed_number(file)) not in {0xFFFF, len(infos) % 2**16}:
        raise zipfile.BadZipFile(
            f"its directory lists {len(infos)} members, but its end record states {claimed}"
        )
    for info in infos:
        if info.header_offset < 0:
            raise zipfile.BadZipFile("the position of its directory is wrong")
        raw = _name(info)
        if raw.endswith(("/", "\\")) or not (path := member_path(raw)):
            continue
        kind = "link" if stat.S_ISLNK(info.external_attr >> 16) else ""
        reader = ZipMember(
            name,
            info.header_offset,
            info.compress_size,
            info.file_size,
            info.CRC,
            info.compress_type,
            bool(info.flag_bits & _ENCRYPTED),
        )
        yield path, kind, reader


def _claimed_number(file: IO[bytes]) -> int:
    """Return the number of members that the end record states, modulo 2**16.

    `zipfile` ignores this number.
    """
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(max(0, n_bytes - _END_ROOM))
    tail = file.read(_END_ROOM)
    at = tail.rfind(b"PK\5\6") + 10
    return int.from_bytes(tail[at : at + 2], "little")


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name of a member. macOS writes UTF-8, but does not set the flag for it."""
    if info.flag_bits & _UTF8 or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def _unpacked(packed: bytes, method: int, size: int) -> bytes:
    """Decompress at most ``size + 1`` bytes. Stored bytes are returned unchanged."""
    decompressor: _Decompressor
    if method == zipfile.ZIP_STORED:
        return packed
    if method == zipfile.ZIP_DEFLATED:
        decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    elif method == zipfile.ZIP_BZIP2:
        decompressor = bz2.BZ2Decompressor()
    else:
        packed, decompressor = _lzma(packed, size)
    # A decompressor may return fewer bytes than asked for before its end.
    chunks: list[bytes] = []
    left = size + 1
    while left > 0 and not decompressor.eof and (chunk := decompressor.decompress(packed, left)):
        chunks.append(chunk)
        left -= len(chunk)
        packed = getattr(decompressor, "unconsumed_tail", b"")
    return b"".join(chunks)


def _lzma(packed: bytes, size: int) -> tuple[bytes, _Decompressor]:
    """Split packed LZMA data. Return the compressed bytes, and a decompressor for them."""
    if len(packed) < 9 or packed[2:4] != b"\5\0" or packed[4] >= 225:
        raise ValueError("its LZMA properties are wrong")
    rest, lc = divmod(packed[4], 9)
    pb, lp = divmod(rest, 5)
    # A dictionary larger than the content is never needed, but its memory would be allocated.
    dictionary = max(4096, min(int.from_bytes(packed[5:9], "little"), size))
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]
    return packed[9:], lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
