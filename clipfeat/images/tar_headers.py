"""Members of tar files of unknown origin.

Patch levels of Python before mid 2025 read a tar file forever if a member has a negative size
(CVE-2025-8194), and take quadratic time for pax headers with long numbers (CVE-2024-6232). In all
versions, `tarfile` ends the list of members at a damaged header without an error.
"""

import re
import tarfile
import warnings
from collections.abc import Iterator
from typing import IO, Any

from clipfeat.errors import ClipfeatWarning

MAX_EXTENDED_HEADER = 2**20
"""Maximum size of a header with a long name or with pax values, in bytes."""
MAX_DIGITS = 255
"""Length of the longest number in a pax header. Names of files are not longer."""
EXTENDED = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip


def members(file: IO[bytes], name: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield the members of an uncompressed tar file, each with the open archive.

    Parameters
    ----------
    file : binary file
        The tar file.
    name : str
        Its name, for messages.

    Raises
    ------
    tarfile.TarError
        If the first header cannot be read, or if a later one is malicious.

    Warns
    -----
    ClipfeatWarning
        If a damaged header ends the list. The members after it are unknown.
    """
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_CheckedHeader) as tar:
        end = 0
        for member in tar:
            if member.size < 0 or tar.offset <= end:
                raise tarfile.ReadError(f"the member {member.name[:80]!r} has a negative size")
            end = tar.offset
            yield tar, member
        file.seek(end)
        if any(file.read(tarfile.BLOCKSIZE)):
            warnings.warn(
                f"{name} has a damaged header at byte {end}, so the members after it are missing. "
                "Get the original file again.",
                ClipfeatWarning,
                stacklevel=2,
            )


class _CheckedHeader(tarfile.TarInfo):
    """Header that is checked before `tarfile` uses its values."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
        """Read a header, and check its size."""
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in EXTENDED and header.size > MAX_EXTENDED_HEADER):
            raise tarfile.ReadError(
                f"the header of {header.name[:80]!r} gives a size of {header.size} bytes"
            )
        return header

    def _proc_pax(self, archive: Any) -> Any:
        start = archive.fileobj.tell()
        digits = re.findall(rb"\d+", archive.fileobj.read(self.size))
        if (longest := max(map(len, digits), default=0)) > MAX_DIGITS:
            raise tarfile.ReadError(f"a pax header contains a number of {longest} digits")
        archive.fileobj.seek(start)
        return super()._proc_pax(archive)  # type: ignore[misc]
