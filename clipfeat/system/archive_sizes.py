"""Limits on the size to which an archive may unpack."""

import zipfile
from collections.abc import Iterable

MAX_UNPACKED, MAX_RATIO = 2**28, 20
"""Bytes that any compressed archive may unpack to, and times its own size for a larger one."""


def check_unpacked_size(members: Iterable[zipfile.ZipInfo], size: int) -> None:
    """Check the sizes that the directory of a zip archive states. Nothing is unpacked.

    Parameters
    ----------
    members : iterable of ZipInfo
        All members.
    size : int
        Size of the archive in bytes.

    Raises
    ------
    ValueError
        If the members are larger than `MAX_UNPACKED` and `MAX_RATIO` allow. If a stored member is
        larger than the archive.
    """
    total = 0
    for member in members:
        total += member.file_size
        is_stored = member.compress_type == zipfile.ZIP_STORED
        if is_stored and member.file_size > size:
            raise ValueError(f"a member of {member.file_size} bytes is in {size} bytes")
    if total > max(MAX_UNPACKED, MAX_RATIO * size):
        raise ValueError(f"{size} bytes would unpack to {total} bytes")
