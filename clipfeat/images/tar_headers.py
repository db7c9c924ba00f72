"""Read the members of tar files that may be malicious or damaged.

Python releases before mid-2025 read a tar file forever if a member has a negative size
(CVE-2025-8194), and take quadratic time for pax headers with long numbers (CVE-2024-6232). In all
versions, `tarfile` ends the list of members at a damaged header without an error.

Here, a damaged header affects only one member. The list continues at the next 512-byte block that
is a ustar header with a valid checksum. The search only goes forward, so its time is proportional
to the size of the file.
"""

import io
import os
import re
import tarfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from clipfeat.errors import ClipfeatWarning

MAX_EXTENDED_HEADER = 2**20
"""Maximum size of a header with a long name or with pax values, in bytes."""
MAX_EXTENDED_HEADERS = 16
"""Maximum number of such headers of one member. `tarfile` reads them recursively."""
MAX_DIGITS = 255
"""Maximum length of a run of digits in a pax header. No file name has more characters."""
EXTENDED = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
BLOCK = tarfile.BLOCKSIZE
_MAGIC, _MAGIC_START = b"ustar", 257
_SEARCH_BYTES = 2**20
"""Maximum size of a read. The next header is often near, so a search starts with one block."""
_NUMBER = rb"[0-7]{7}[\0 ]"
_USUAL = re.compile(
    rb"(?s:.{100})" + 3 * _NUMBER + rb"([0-7]{11})[\0 ][0-7]{11}[\0 ]([0-7]{6})[\0 ]{2}0"
    rb"(?s:.{172})(?:" + _NUMBER + rb"|\0{8}){2}"
)
"""Pattern of the header of a regular file whose numbers are octal, as most programs write it. The
groups are the size and the checksum, which counts its own field as spaces."""
_ERRORS = (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class DamagedMember:
    """Member whose header cannot be used.

    Parameters
    ----------
    name : str
        Name in the header. Empty if the name is damaged too.
    reason : str
        What is wrong with the header.
    """

    name: str
    reason: str


def members(
    file: IO[bytes], name: str
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo | DamagedMember]]:
    """Yield the members of an uncompressed tar file, each with the open archive.

    The data of every yielded `tarfile.TarInfo` are within the file.

    Parameters
    ----------
    file : binary file
        The tar file. It must be seekable.
    name : str
        Its name, for messages.

    Raises
    ------
    tarfile.TarError
        If the file has no header with a name.

    Warns
    -----
    ClipfeatWarning
        If headers are damaged.
    """
    archive = _open_archive(file)
    size = file.seek(0, os.SEEK_END)
    offset: int | None = 0
    damaged: list[tuple[int, str]] = []
    n_named = 0
    while offset is not None and (block := _read_block(file, offset)):
        if not any(block):
            following = _next_header(file, offset + BLOCK)
            if following is not None:
                damaged.append((offset, "there are zeros instead of a header"))
                yield archive, DamagedMember("", damaged[-1][1])
            offset = following
            continue
        member, following = _member_at(archive, file, offset, block, size)
        n_named += bool(member.name)
        if isinstance(member, DamagedMember):
            damaged.append((offset, member.reason))
        yield archive, member
        offset = following
    if damaged and not n_named:
        raise tarfile.ReadError(damaged[0][1])
    if damaged:
        first, reason = damaged[0]
        warnings.warn(
            f"{name} has {len(damaged)} damaged {'header' if len(damaged) == 1 else 'headers'}. "
            f"The first is at byte {first}: {reason}. Its member cannot be read. Get the original "
            "file again.",
            ClipfeatWarning,
            stacklevel=2,
        )


def _open_archive(file: IO[bytes]) -> tarfile.TarFile:
    """Return an archive that reads from a file, but has not read the first header yet.

    The constructor of `tarfile.TarFile` reads the first header, and refuses the file if this header
    is damaged. So the constructor gets an archive without members.
    """
    archive = tarfile.TarFile(fileobj=io.BytesIO(bytes(BLOCK)), tarinfo=_CheckedHeader)
    archive.fileobj = file
    return archive


def _member_at(
    archive: tarfile.TarFile, file: IO[bytes], offset: int, block: bytes, size: int
) -> tuple[tarfile.TarInfo | DamagedMember, int | None]:
    """Read the member whose first header is at an offset.

    Parameters
    ----------
    archive : TarFile
        The archive.
    file : binary file
        The tar file.
    offset : int
        Offset of the header.
    block : bytes
        The header.
    size : int
        Size of the tar file.

    Returns
    -------
    TarInfo or DamagedMember
        The member.
    int or None
        Offset of the next header. None if there is none.
    """
    header, data, reason = _main_header(file, offset, block)
    if not reason:
        try:
            member = _member_of(archive, file, offset, header, data)
            reason = _wrong_size(member, size)
            if not reason and archive.offset > offset:
                return member, archive.offset
        except _ERRORS as error:
            reason = str(error) or type(error).__name__
    if header is None:
        return DamagedMember("", reason), _next_header(file, data)
    end = data + -(-header.size // BLOCK) * BLOCK
    following = end if data <= end <= size else _next_header(file, data)
    return DamagedMember(header.name, reason or "its header is inconsistent"), following


def _member_of(
    archive: tarfile.TarFile,
    file: IO[bytes],
    offset: int,
    header: tarfile.TarInfo | None,
    data: int,
) -> tarfile.TarInfo:
    """Return the member of a main header, which ends at the offset `data`.

    Most members have no extended headers, so their header need not be parsed again.
    """
    if header is None or data > offset + BLOCK or header.size < 0:
        file.seek(offset)
        return _CheckedHeader.fromtarfile(archive)
    file.seek(data)
    header.offset = offset
    member: tarfile.TarInfo = header._proc_member(archive)  # type: ignore[attr-defined]
    return member


def _main_header(
    file: IO[bytes], offset: int, block: bytes
) -> tuple[tarfile.TarInfo | None, int, str]:
    """Find the main header of a member, which follows its extended headers.

    Parameters
    ----------
    file : binary file
        The tar file.
    offset : int
        Offset of the first header.
    block : bytes
        The first header.

    Returns
    -------
    TarInfo or None
        The main header, without the values of the extended headers. None if it was not found.
    int
        Offset of the first byte after the last header that was read.
    str
        What is wrong with the headers, or an empty text.
    """
    for _ in range(MAX_EXTENDED_HEADERS + 1):
        offset += BLOCK
        try:
            header = _frombuf(block)
        except _ERRORS as error:
            return None, offset, str(error) or type(error).__name__
        if header.type not in EXTENDED:
            return header, offset, ""
        if not 0 <= header.size <= MAX_EXTENDED_HEADER:
            return None, offset, f"an extended header gives a size of {header.size} bytes"
        offset += -(-header.size // BLOCK) * BLOCK
        block = _read_block(file, offset)
    return None, offset, f"it has more than {MAX_EXTENDED_HEADERS} extended headers"


def _wrong_size(member: tarfile.TarInfo, size: int) -> str:
    """Return why a member cannot have the size in its header, or an empty text."""
    if member.size < 0:
        return "its header gives a negative size"
    if member.isreg() and not member.issparse() and member.offset_data + member.size > size:
        left = max(size - member.offset_data, 0)
        return f"its header gives a size of {member.size} bytes, but only {left} bytes follow"
    return ""


def _next_header(file: IO[bytes], offset: int) -> int | None:
    """Return the offset of the first valid ustar header at or after an offset, or None."""
    file.seek(offset)
    n_bytes = BLOCK
    while chunk := file.read(n_bytes):
        place = chunk.find(_MAGIC)
        while place >= 0:
            start = place - _MAGIC_START
            if start >= 0 and start % BLOCK == 0 and _is_header(chunk[start : start + BLOCK]):
                return offset + start
            place = chunk.find(_MAGIC, place + 1)
        offset += len(chunk)
        n_bytes = min(2 * n_bytes, _SEARCH_BYTES)
    return None


def _is_header(block: bytes) -> bool:
    try:
        _frombuf(block)
    except _ERRORS:
        return False
    return True


def _frombuf(block: bytes) -> tarfile.TarInfo:
    """Read one header. The checksum is checked, but not the values.

    Most headers are of regular files and have only octal numbers. Their name and size are read
    here, which takes a third of the time of `tarfile` and gives the same values. The other fields
    keep their defaults.
    """
    usual = _USUAL.match(block) if len(block) == BLOCK else None
    if usual is None or sum(block) - sum(block[148:156]) + 8 * ord(" ") != int(usual[2], 8):
        return tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    header = tarfile.TarInfo(_text(block[:100]))
    if prefix := _text(block[345:500]):
        header.name = f"{prefix}/{header.name}"
    header.size = int(usual[1], 8)
    return header


def _text(field: bytes) -> str:
    """Return the text of a field, which ends at the first zero byte."""
    return field.partition(b"\0")[0].decode(tarfile.ENCODING, "surrogateescape")


def _read_block(file: IO[bytes], offset: int) -> bytes:
    file.seek(offset)
    return file.read(BLOCK)


class _CheckedHeader(tarfile.TarInfo):
    """Header that is checked before `tarfile` uses its values."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
        """Read a header, and check its size."""
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in EXTENDED and header.size > MAX_EXTENDED_HEADER):
            raise tarfile.ReadError(f"its header gives a size of {header.size} bytes")
        return header

    def _proc_pax(self, archive: Any) -> Any:
        start = archive.fileobj.tell()
        digits = re.findall(rb"\d+", archive.fileobj.read(self.size))
        if (longest := max(map(len, digits), default=0)) > MAX_DIGITS:
            raise tarfile.ReadError(f"a pax header contains a number of {longest} digits")
        archive.fileobj.seek(start)
        return super()._proc_pax(archive)  # type: ignore[misc]
